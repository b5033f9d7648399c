"""Train the network that the task starts from, on upright digits, and write all its tensors to base.safetensors."""

import torch
from lora import Turned, digits
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(1)
pictures, labels = digits()
model = Turned().build({"width": 128, "rank": 4})
frozen = [parameter for name, parameter in model.named_parameters() if "lora" not in name]
optimiser = torch.optim.Adam([one.requires_grad_() for one in frozen], lr=0.002)
for _ in range(20):
    for rows in torch.randperm(len(labels)).split(64):
        loss = nn.functional.cross_entropy(model(pictures[rows].flatten(1)), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
save_file(model.state_dict(), "base.safetensors")
