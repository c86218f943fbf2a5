"""What a HEIC or AVIF file says of its pictures, beside their pixels.

ISO/IEC 14496-12 (boxes and items) and 23008-12 (pictures).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from compile.imaging.read_boxes import read_boxes

_FULL_BOX = 4  # bytes of version and flags


@dataclass
class HeifItem:
    """A picture, or what belongs to one.

    Attributes:
        kind: four letters, as b"hvc1", b"grid" or b"Exif".
        mime: of an item of the kind b"mime".
        extents: (offset, length) of its bytes.
        inside: whether the offsets are of the box idat instead of the file.
        properties: name and body of each, those that change the picture in their order.
    """

    kind: bytes
    mime: bytes = b""
    extents: tuple[tuple[int, int], ...] = ()
    inside: bool = False
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)

    def find(self, name: bytes) -> list[bytes]:
        """The bodies of its properties of this name."""
        return [body for known, body in self.properties if known == name]


@dataclass
class HeifItems:
    """The items of a file.

    Attributes:
        data: of the file.
        primary: the number of the picture that is shown.
        items: by number.
        references: (name, from, to), as (b"dimg", 1, (2, 3)) for a picture of two tiles.
        inside: the body of the box idat.
    """

    data: bytes
    primary: int = 0
    items: dict[int, HeifItem] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)
    inside: bytes = b""

    @property
    def picture(self) -> HeifItem:
        """The picture that is shown."""
        return self.items[self.primary]

    @property
    def tile(self) -> HeifItem:
        """The first tile of the picture that is shown; itself where it has none."""
        for name, source, targets in self.references:
            if name == b"dimg" and source == self.primary and targets[0] in self.items:
                return self.items[targets[0]]
        return self.picture

    def size(self) -> tuple[int, int]:
        """(height, width) of the picture as it is stored.

        Raises:
            ValueError: it has none.
        """
        for body in self.picture.find(b"ispe"):
            width, height = struct.unpack_from(">II", body, _FULL_BOX)
            return height, width
        raise ValueError("the picture has no size")

    def bytes_of(self, item: HeifItem) -> bytes:
        """The bytes of ``item``.

        Raises:
            ValueError: they are not all there.
        """
        source = self.inside if item.inside else self.data
        parts = []
        for offset, length in item.extents:
            if offset + length > len(source):
                raise ValueError("the file ends before its pictures do")
            parts.append(source[offset : offset + length if length else len(source)])
        return b"".join(parts)

    def described(self, kind: bytes, mime: bytes = b"") -> bytes | None:
        """The bytes of the item of a kind that describes the picture, as its EXIF, or None."""
        for name, source, targets in self.references:
            item = self.items.get(source)
            if name != b"cdsc" or item is None or self.primary not in targets:
                continue
            if (item.kind, item.mime) == (kind, mime):
                return self.bytes_of(item)
        return None


def read_heif_items(data: bytes) -> HeifItems:
    """Read the items of a file.

    Raises:
        ValueError: the file is cut off, or none of this family.
    """
    try:
        meta = next((body for name, body in read_boxes(data) if name == b"meta"), None)
        if meta is None:
            raise ValueError("the file has no box meta")
        found = HeifItems(data)
        parts = dict(read_boxes(meta[_FULL_BOX:]))
        found.inside = parts.get(b"idat", b"")
        version, body = _full_box(parts[b"pitm"])
        found.primary = int.from_bytes(body[: 4 if version else 2], "big")
        _read_infos(found, parts[b"iinf"])
        _read_places(found, parts[b"iloc"])
        if b"iprp" in parts:
            _read_properties(found, parts[b"iprp"])
        if b"iref" in parts:
            _read_references(found, parts[b"iref"])
        for item in (found.picture, found.tile):
            found.bytes_of(item)
    except (struct.error, KeyError, IndexError) as error:
        raise ValueError(f"a box is damaged ({error})") from error
    return found


def _full_box(body: bytes) -> tuple[int, bytes]:
    return body[0], body[_FULL_BOX:]


def _read_infos(found: HeifItems, iinf: bytes) -> None:
    version, body = _full_box(iinf)
    for name, entry in read_boxes(body[4 if version else 2 :]):
        if name != b"infe":
            continue
        version, body = _full_box(entry)
        wide = 4 if version >= 3 else 2
        number = int.from_bytes(body[:wide], "big")
        words = body[wide + 6 :].split(b"\0")
        mime = words[1] if len(words) > 1 else b""
        found.items[number] = HeifItem(bytes(body[wide + 2 : wide + 6]), mime)


def _read_places(found: HeifItems, iloc: bytes) -> None:
    version, body = _full_box(iloc)
    offset_size, length_size = body[0] >> 4, body[0] & 15
    base_size, index_size = body[1] >> 4, body[1] & 15 if version else 0
    at = 2

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(body):
            raise ValueError("the file ends before its boxes do")
        return int.from_bytes(body[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        item = found.items.get(number(wide), HeifItem(b""))
        item.inside = bool(version) and number(2) & 15 == 1
        number(2)
        base = number(base_size)
        extents = []
        for _ in range(number(2)):
            number(index_size)
            offset = base + number(offset_size)
            extents.append((offset, number(length_size)))
        item.extents = tuple(extents)


def _read_properties(found: HeifItems, iprp: bytes) -> None:
    properties: list[tuple[bytes, bytes]] = []
    for name, body in read_boxes(iprp):
        if name == b"ipco":
            properties += read_boxes(body)
    for name, body in read_boxes(iprp):
        if name != b"ipma":
            continue
        version, wide = body[0], body[3] & 1
        (count,) = struct.unpack_from(">I", body, _FULL_BOX)
        at = _FULL_BOX + 4
        for _ in range(count):
            size = 4 if version else 2
            item = found.items.get(int.from_bytes(body[at : at + size], "big"))
            links, at = body[at + size], at + size + 1
            for _ in range(links):
                link = int.from_bytes(body[at : at + 1 + wide], "big")
                at += 1 + wide
                place = link & (0x7FFF if wide else 0x7F)
                if item is not None and place:
                    item.properties.append(properties[place - 1])


def _read_references(found: HeifItems, iref: bytes) -> None:
    version, body = _full_box(iref)
    form, size = (">I", 4) if version else (">H", 2)
    for name, entry in read_boxes(body):
        (source,) = struct.unpack_from(form, entry)
        (count,) = struct.unpack_from(">H", entry, size)
        targets = struct.unpack_from(f">{count}{form[1]}", entry, size + 2)
        found.references.append((name, source, targets))
