"""A trained classifier in a file (模型文件), by skops: reading one runs no code, unlike pickle and joblib."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from analyses.landcover.classifier import Classifier
from spatial.errors import SourceUnreadable

__all__ = ["load_classifier", "save_classifier"]

_FORMAT = "onemap-land-cover-classifier-1"
_TRUSTED = frozenset({"sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "sklearn.tree._tree.Tree"})
"""Types of these two estimators that skops does not know by itself; nothing else is ever built from a file."""


def save_classifier(classifier: Classifier, path: Path) -> None:
    """Write a classifier; aside first, then in one step."""
    from skops.io import dump

    document = {
        "format": _FORMAT,
        "method": classifier.method,
        "classes": list(classifier.classes),
        "features": list(classifier.features),
        "model": classifier.model,
    }
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        dump(document, aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def load_classifier(path: Path) -> Classifier:
    """Read a classifier that `save_classifier` wrote.

    Raises
    ------
    SourceUnreadable
        If the file is missing, is no such file, or holds any type that a classifier does not need.
    """
    from skops.io import get_untrusted_types, load

    try:
        strange = set(get_untrusted_types(file=path)) - _TRUSTED
        if strange:
            raise SourceUnreadable(
                f"模型文件 {path.name} 含不受信任的类型 {sorted(strange)}，拒绝读取",
                f"model file {path.name} holds types that are not trusted: {sorted(strange)}; it is refused",
                file=path.name,
                types=sorted(strange),
            )
        document: Any = load(path, trusted=sorted(_TRUSTED))
        if document["format"] != _FORMAT:
            raise KeyError("format")
        return Classifier(
            document["model"], document["method"], tuple(document["classes"]), tuple(document["features"])
        )
    except SourceUnreadable:
        raise
    except Exception as error:  # a damaged archive can fail in any way
        raise SourceUnreadable(
            f"模型文件 {path.name} 无法读取：{error}；请重新训练并保存",
            f"model file {path.name} cannot be read: {error}; train and save it again",
            file=path.name,
        ) from error
