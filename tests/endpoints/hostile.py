"""Bodies that are made to cost their reader more than their size, of any size; each with the endpoint that takes it."""

from collections.abc import Callable, Mapping

Body = tuple[str, bytes]
MADE_OF: Mapping[str, Callable[[int], Body]]


def tensor(inputs: bytes = b'"sequence":[0,32,5,32,2]', more: bytes = b"") -> Body:
    return "generate_tensor", b'{"model":"m","track":"sequence","num_steps":2,"inputs":{%b}%b}' % (inputs, more)


def letters(inputs: bytes) -> Body:
    return "generate", b'{"model":"m","track":"sequence","inputs":{"sequence":"AA",%b}}' % inputs


def fold(alignment: bytes) -> Body:
    return "fold", b'{"model":"m","sequence":"AA","msa":%b}' % alignment


def complex_of(chains: bytes) -> Body:
    return "fold_all_atom", b'{"model":"m","all_atom_input":{"sequences":[%b]}}' % chains


def times(item: bytes, size: int) -> bytes:
    return b",".join([item] * max(1, size // (len(item) + 1)))


def members(size: int, each: int = 1) -> bytes:
    return b",".join(b",".join([b'"a%07d":1' % i] * each) for i in range(max(1, size // (12 * each))))


def coordinates(size: int, atom: bytes = b"[-12.345678,1.5,null]") -> bytes:
    return b"[%b]" % times(b"[%b]" % b",".join([atom] * 37), size)


IN_SEQUENCE = {
    "wrong ids": b"99",
    "good ids": b"5",
    "empty arrays": b"[]",
    "arrays": b"[5]",
    "objects": b"{}",
    "texts": b'"ab"',
    "empty texts": b'""',
    "booleans": b"true",
    "nulls": b"null",
    "whole floats": b"5.0",
    "fractions": b"5.5",
    "numbers of 308 digits": b"9" * 308,
}

MADE_OF = {
    **{
        f"sequence of {name}": lambda n, item=item: tensor(b'"sequence":[%b]' % times(item, n))  # type: ignore[misc]
        for name, item in IN_SEQUENCE.items()
    },
    "rows with a fault each": lambda n: tensor(b'"function":[%b]' % times(b"[1,2,3,4,5,6,7,999]", n)),
    "one long row": lambda n: tensor(b'"function":[[%b]]' % times(b"999", n)),
    "long rows after a short one": lambda n: tensor(b'"residue_annotation":[[1],[%b]]' % times(b"999", n)),
    "invalid ids that are none": lambda n: tensor(more=b',"invalid_ids":[%b]' % times(b"true", n)),
    "invalid ids": lambda n: tensor(more=b',"invalid_ids":[%b]' % times(b"12345678", n)),
    "unknown members": lambda n: tensor(more=b"," + members(n)),
    "unknown inputs": lambda n: tensor(members(n)),
    "every member twice": lambda n: tensor(more=b"," + members(n, 2)),
    "one member again and again": lambda n: tensor(more=b"," + times(b'"a":1', n)),
    "deep arrays": lambda n: tensor(more=b',"x":' + b"[" * (n // 2) + b"]" * (n // 2)),
    "deep objects": lambda n: tensor(more=b',"x":' + b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6)),
    "a huge text": lambda n: tensor(more=b',"x":"' + b"a" * n + b'"'),
    "a huge text of escapes": lambda n: tensor(more=b',"x":"' + b"\\u0061" * (n // 6) + b'"'),
    "a huge name": lambda n: tensor(more=b',"' + b"a" * n + b'":1'),
    "a huge number": lambda n: tensor(more=b',"x":' + b"9" * n),
    "blanks": lambda n: tensor(b'"sequence":[0,' + b" " * n + b"99,2]"),
    "not UTF-8": lambda n: tensor(b'"sequence":"' + b"\xff" * n + b'"'),
    "an array": lambda n: ("generate_tensor", b"[%b]" % times(b"5", n)),
    "coordinates, the last atom wrong": lambda n: tensor(b'"coordinates":' + coordinates(n)[:-1] + b",[[1,2,true]]]"),
    "coordinates of booleans": lambda n: tensor(b'"coordinates":' + coordinates(n, b"[true,1,2]")),
    "coordinates with a fault elsewhere": lambda n: tensor(b'"sequence":[5.0,99],"coordinates":' + coordinates(n)),
    "coordinates cut off": lambda n: ("generate_tensor", tensor(b'"coordinates":' + coordinates(n))[1][:-1]),
    "flat coordinates": lambda n: tensor(b'"coordinates":[%b]' % times(b"-12.345678", n)),
    "coordinates in one atom": lambda n: tensor(b'"coordinates":[[[%b]]]' % times(b"-12.345678", n)),
    "coordinates of texts": lambda n: tensor(b'"coordinates":[%b]' % times(b'"%b"' % (b"a" * 37), n)),
    "letters": lambda n: letters(b'"secondary_structure":"' + b"H" * n + b'"'),
    "letters and a wrong one": lambda n: letters(b'"secondary_structure":"' + b"H" * n + b'!"'),
    "short annotations": lambda n: letters(b'"function":[%b]' % times(b'["a",1]', n)),
    "a long annotation": lambda n: letters(b'"function":[[%b]]' % times(b"1", n)),
    "areas that are none": lambda n: letters(b'"sasa":[%b]' % times(b"true", n)),
    "area ids that do not exist": lambda n: ("decode", b'{"model":"m","inputs":{"sasa":[%b]}}' % times(b"99", n)),
    "an alignment of numbers": lambda n: fold(b'{"sequences":[%b]}' % times(b"5", n)),
    "deletions of texts": lambda n: fold(b'{"sequences":["A"],"deletions":[[%b]]}' % times(b'"a"', n)),
    "chains": lambda n: complex_of(times(b'{"type":"protein","id":"A","x":1}', n)),
    "modifications": lambda n: complex_of(b'{"type":"protein","id":"A","modifications":[%b]}' % times(b"{}", n)),
    "a distogram of texts": lambda n: (
        "fold_all_atom",
        b'{"model":"m","all_atom_input":{"sequences":[{"type":"rna","id":"A","sequence":"A"}],'
        b'"distogram_conditioning":[{"chain_id":"A","distogram":[%b,"%b"]}]}}'
        % (times(b'"a"', n // 2), b"a" * (n // 2)),
    ),
}
