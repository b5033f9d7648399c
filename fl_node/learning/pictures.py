"""What the kinds that learn from pictures have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fl_node.learner import Measured
from fl_node.learning.data import Images, load_images
from fl_node.learning.steps import Pictures, move_to
from fl_node.learning.tensors import module_tensors
from fl_node.learning.torch_learner import TorchLearner


class PictureLearner(TorchLearner):
    """Learns from square pictures, in steps that a GPU can record. Its knobs are its options."""

    recordable: ClassVar[bool] = True

    def data(self, uri: str, options: Any) -> Images:
        """The pictures that `--data` names, in the options' shape.

        Raises:
            DataUnusable: Unknown or empty data, or a download that failed.
        """
        return load_images(uri, options)

    def place(self, model: nn.ModuleDict, device: torch.device) -> nn.ModuleDict:
        """Move a model to the device, in the memory layout with the fastest convolutions there."""
        return move_to(model, device)

    def tensors(self, model: nn.Module) -> dict[str, Tensor]:
        """The float tensors: nothing reads batch norm's count of batches, which is another one."""
        return module_tensors(model)

    def held_out_loss(
        self, options: Any, model: nn.ModuleDict, held_out: Pictures, seed: int
    ) -> float:
        """A model's loss on held-out pictures, lower is better; the seed determines what is drawn for it."""
        raise NotImplementedError

    def measured(
        self, options: Any, model: nn.ModuleDict, examples: Pictures, seed: int
    ) -> Measured:
        """The held-out loss alone."""
        return Measured(self.held_out_loss(options, model, examples, seed))

    def __eq__(self, other: object) -> bool:
        """A kind keeps nothing, so that all of its learners are one, in other processes too."""
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))
