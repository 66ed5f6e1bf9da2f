"""Formats of data (数据格式) that are neither page nor document: which one a request asks for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spatial.errors import InvalidParameter
from spatial.ogc.exchange import Call, base_address
from spatial.ogc.parameters import read_language, read_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["DataFormat", "read_data_call", "read_data_format"]


@dataclass(frozen=True, slots=True)
class DataFormat:
    """One format.

    Attributes
    ----------
    name : str
        Value of ``f``, compared without regard to case.
    media : str
        Media type of the answer.
    aliases : tuple of str
        Other values of ``f``, lower case.
    """

    name: str
    media: str
    aliases: tuple[str, ...] = ()

    def answers_to(self, text: str) -> bool:
        """True if `text` is the name, an alias or the media type without its parameters."""
        # "+" of a media type arrives as a space where a client did not encode it.
        bare = text.strip().lower().replace(" ", "+").partition(";")[0]
        return bare in {self.name.lower(), self.media.partition(";")[0], *self.aliases}


def read_data_format(request: Request, parameters: Mapping[str, str], formats: Sequence[DataFormat]) -> DataFormat:
    """Format by ``f``, else the best of ``Accept``, else the first.

    Raises
    ------
    InvalidParameter
        ``f`` is none of `formats`.
    """
    wanted = parameters.get("f")
    if wanted is not None:
        for known in formats:
            if known.answers_to(wanted):
                return known
        names = [known.name for known in formats]
        raise InvalidParameter(
            f"参数 f 的值 {wanted[:40]!r} 无效，可用：{'、'.join(names)}",
            f"f: {wanted[:40]!r} is not one of {', '.join(names)}",
            parameter="f",
            allowed=names,
        )
    ranked = []
    for position, part in enumerate(request.headers.get("accept", "").split(",")[:50]):
        media, _, rest = part.partition(";")
        quality = next((o.strip()[2:] for o in rest.split(";") if o.strip().startswith("q=")), "1")
        ranked.append((-float(quality) if quality.replace(".", "", 1).isdigit() else 0.0, position, media))
    for weight, _, media in sorted(ranked):
        for known in formats:
            if weight < 0 and known.answers_to(media):
                return known
    return formats[0]


def read_data_call(datastore: DataStore, request: Request, allowed: Collection[str], snapshot: Snapshot) -> Call:
    """The parts that all requests share, where ``f`` names a data format; ``subset`` may be given several times."""
    parameters = _joined(request, allowed)
    return Call(
        datastore=datastore,
        snapshot=snapshot,
        request=request,
        base=base_address(datastore, request),
        language=read_language(request, parameters),
        format="json",
        parameters=parameters,
    )


def _joined(request: Request, allowed: Collection[str]) -> dict[str, str]:
    repeated = request.query_params.getlist("subset")
    if "subset" not in allowed or len(repeated) < 2:
        return read_parameters(request, allowed)
    from starlette.requests import Request as Plain

    # Coverages, /req/subsetting-spatial/multiple-subset: as if all stood in one, with commas.
    rest = [(name, value) for name, value in request.query_params.multi_items() if name != "subset"]
    from urllib.parse import urlencode

    query = urlencode([*rest, ("subset", ",".join(repeated))])
    return read_parameters(Plain({**request.scope, "query_string": query.encode()}), allowed)
