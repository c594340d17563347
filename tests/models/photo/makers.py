"""An encoder of random weights in the published form, and a small folder of rated pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from emosym.models.photo.convert import convert_lite
from emosym.models.photo.efficientnet_lite import EfficientNetLite1
from emosym.models.photo.encoder import open_encoder
from emosym.models.photo.head import Kernel, fit_head
from emosym.models.photo.store import save_head
from emosym.models.snapshots import LITE, fingerprint


def published_weights(path: Path, seed: int = 0) -> Path:
    """Write random weights under the names of the published file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = EfficientNetLite1()
        for parameter in net.parameters():
            if parameter.ndim == 4:  # as PyTorch draws them, a signal would be lost on its way
                torch.nn.init.kaiming_normal_(parameter, a=1.5)
    names = {}
    for key, value in net.state_dict().items():
        parts = key.split(".")
        own = "_" + parts[0] if parts[0] != "blocks" else f"_blocks.{parts[1]}._{parts[2]}"
        names[".".join([own, *parts[(1 if parts[0] != "blocks" else 3) :]])] = value
    torch.save(names, path)
    return path


def rated_pictures(root: Path, themes: int = 8, each: int = 3) -> Path:
    """Write pictures of one colour a theme, the more pleasant the greener, in OASIS's form."""
    (root / "images").mkdir(parents=True)
    rows = [",Theme,Category,Source,Valence_mean,Valence_SD,Valence_N,Arousal_mean,Arousal_SD"]
    rng = np.random.default_rng(0)
    for theme in range(themes):
        green = int(255 * theme / (themes - 1))
        for number in range(1, each + 1):
            noise = rng.integers(0, 30, (24, 32, 3))
            values = np.clip(np.array([200 - green // 2, green, 90]) + noise, 0, 255)
            name = f"Thing{chr(65 + theme)} {number}"
            Image.fromarray(values.astype(np.uint8)).save(root / "images" / f"{name}.png")
            valence = 1.5 + 5 * theme / (themes - 1) + rng.normal() * 0.05
            arousal = 6 - 4 * theme / (themes - 1)
            rows.append(f"I{len(rows)},{name},Object,made,{valence:.3f},1,100,{arousal:.3f},1")
    (root / "OASIS.csv").write_text("\n".join(rows) + "\n")
    return root


def small_reader(root: Path) -> Path:
    """Write a reader of six pictures and return its folder; EMOSYM_CACHE must be `root`/cache."""
    encoder = root / "cache" / "models" / LITE
    convert_lite(published_weights(root / "published.pth"), encoder)
    images = sorted((rated_pictures(root / "oasis", themes=3, each=2) / "images").iterdir())
    blocks = open_encoder(encoder).read([Image.open(path) for path in images])
    ratings = np.array([[1.5, 6.0], [1.6, 5.9], [4.0, 4.0], [4.1, 4.1], [6.5, 2.0], [6.4, 2.1]])
    themes, names = np.array([0, 0, 1, 1, 2, 2]), [path.stem for path in images]
    head = fit_head(blocks, ratings, themes, names, [Kernel(1.0, 0.1)])
    save_head(root / "reader", head, LITE, fingerprint(encoder), "six pictures", {})
    return root / "reader"
