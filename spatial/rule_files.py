"""Rule files (规则文件) that the service itself reads: YAML beside the layers, checked by a model, read anew when changed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from spatial.errors import LayerDefinitionInvalid

__all__ = ["read_rule_file"]


def read_rule_file[M: BaseModel](model: type[M], layers_dir: Path, name: str) -> M:
    """The rules of ``rules/<name>.yml`` beside the layers; an unchanged file is not read again.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing, is no YAML or breaks the model.
    """
    path = layers_dir / "rules" / f"{name}.yml"
    try:
        found = path.stat()
    except OSError as error:
        raise LayerDefinitionInvalid(
            f"缺少规则文件 rules/{path.name}，请恢复它",
            f"rule file rules/{path.name} is missing; restore it",
            file=path.name,
        ) from error
    return cast(M, _read(model, path, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=48)
def _read(model: type[BaseModel], path: Path, _changed_ns: int, _size: int) -> BaseModel:
    import yaml

    try:
        document: Any = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return model.model_validate(document)
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        problems = (
            [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
            if isinstance(error, ValidationError)
            else [str(error)]
        )
        raise LayerDefinitionInvalid(
            f"规则文件 rules/{path.name} 有误：{'；'.join(problems[:5])}",
            f"rule file rules/{path.name} is invalid: {'; '.join(problems[:5])}",
            file=path.name,
            problems=problems[:20],
        ) from error
