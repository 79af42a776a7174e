"""The network: ImageNet features, and a class activation map that is exact."""

from __future__ import annotations

import torch

from models.network import Network, imagenet_network


def test_the_activation_map_and_the_bias_sum_to_the_logit() -> None:
    torch.manual_seed(0)
    network = Network(3).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    torch.nn.init.normal_(network.head.bias)
    images = torch.randn(2, 1, 96, 96)
    with torch.inference_mode():
        maps, logits = network(images), network.logits(images)
    assert maps.shape == (2, 3, 3, 3)
    assert torch.allclose(maps.sum(dim=(2, 3)) + network.head.bias, logits, atol=1e-4)


def test_the_imagenet_features_meet_the_statistics_they_were_trained_with() -> None:
    """Wrong padding, a wrong order of blocks or a wrong input scale would throw deep features off by many
    spreads.
    """
    network = imagenet_network(1).eval()
    torch.manual_seed(1)
    noise = torch.nn.functional.interpolate(torch.randn(8, 1, 12, 12), size=(160, 160), mode="bicubic")
    distances: list[float] = []

    def compare(norm: torch.nn.BatchNorm2d, given: tuple[torch.Tensor]) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        away = (given[0].mean(dim=(0, 2, 3)) - norm.running_mean).abs() / norm.running_var.sqrt()
        distances.append(float(away.median()))

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(compare)
    with torch.inference_mode():
        network.features(noise.clamp(-1, 1))
    assert len(distances) == 49
    assert max(distances) < 1.5


def test_a_fresh_head_says_nothing() -> None:
    with torch.inference_mode():
        assert not imagenet_network(2).eval().logits(torch.randn(1, 1, 64, 64)).any()
