"""A node as a service, which nobody watches: numbers for a monitor, its health, and how it is stopped.

watch.py       what a node has done so far, as numbers
metrics.py     the same in Prometheus's format
health.py      whether a node is in order
serving.py     serves both over HTTP on 127.0.0.1
stopping.py    SIGTERM
"""
