"""Runs the app of the tests in Flower's simulation: three nodes, which must train at the same time, on any machine."""

from flwr.simulation import run_simulation
from moving.client_app import app as client_app
from moving.server_app import app as server_app

if __name__ == "__main__":
    run_simulation(
        server_app,
        client_app,
        num_supernodes=3,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": 3, "include_dashboard": False},
        },
    )
