"""The upstream's reason is passed on where it helps, and never carries the call, a credential or a control sign."""

import base64
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.redaction import MAX_CALL_BYTES, MAX_CALL_LETTERS, MAX_TEXT
from gateway.core.tracks import AMINO_ACIDS
from gateway.core.upstream_reason import MAX_ANSWER_BYTES, MAX_REASON, short_reason

SEQUENCE = "MALWMRLLPLLALLALWGPDPAAAFVNQHLCGSHLVEALYLVCGERGFFYTPKTRREAEDLQVGQVELG"
MODEL = "esm3-medium-multimer-2024-09"
CALL = orjson.dumps({"model": MODEL, "sequence": SEQUENCE, "track": "sequence", "potential_sequence_of_concern": False})
TOKENS = [0, *(4 + AMINO_ACIDS.index(letter) for letter in SEQUENCE[:20]), 2]
IN_TOKENS = orjson.dumps({"model": MODEL, "inputs": {"sequence": TOKENS, "coordinates": None}, "track": "sequence"})
FIVE = {SEQUENCE[i : i + 5] for i in range(len(SEQUENCE) - 5 + 1)}


def reason(answer: Any, call: bytes = CALL, **more: Any) -> str:
    return short_reason(orjson.dumps(answer), "application/json", call, **more)


def leaks(shown: str) -> bool:
    """Whether five letters of the sequence follow each other in what is shown, in any case, whatever is between."""
    letters = ("".join(c for c in part if c.isalpha()).upper() for part in shown.split("..."))
    return any(five in part for part in letters for five in FIVE)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({"error": "sequence too long for this model: max 1022"}, "sequence too long for this model: max 1022"),
        ({"message": f"User does not have access to model {MODEL}"}, f"User does not have access to model {MODEL}"),
        ({"error": f"{MODEL} 1022"}, f"{MODEL} 1022"),
        ({"error": {"message": "GPU out of memory", "code": 7}}, "GPU out of memory"),
        ({"detail": "Not authenticated"}, "Not authenticated"),
        ({"error": "Bad Request", "message": "no masks"}, "Bad Request; no masks"),
        ({"error": "no masks", "message": "no masks"}, "no masks"),
        (
            {"title": "Unprocessable", "status": 422, "detail": "RuntimeError: 3 > 2"},
            "RuntimeError: 3 > 2; Unprocessable",
        ),
        ({"error": "potential_sequence_of_concern must be false"}, "potential_sequence_of_concern must be false"),
        ("no capacity; try again in 9 s", "no capacity; try again in 9 s"),
        (
            {
                "detail": [
                    {"loc": ["body", "inputs", "sequence", 3], "msg": "should be less than 33", "input": SEQUENCE}
                ]
            },
            "body.inputs.sequence.3: should be less than 33",
        ),
        (
            {"detail": [{"loc": ["a"], "msg": "wrong"}, {"loc": ["b"], "msg": "wrong too"}]},
            "a: wrong; b: wrong too",
        ),
    ],
)
def test_a_plain_reason_is_passed_on_word_by_word(answer: Any, shown: str) -> None:
    assert reason(answer) == shown


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"<html><body>403 Forbidden</body></html>", "text/html"),
        (b'{"error":"x"}', "text/plain"),
        (b"<html>no JSON</html>", "application/json"),
        (b'{"error":"<!DOCTYPE html><html>Forbidden</html>"}', "application/json"),
        (b"\x00\xff\xfe", "application/json"),
        (b"", "application/json"),
        (b"{}", "application/json"),
        (b'{"error":true,"message":null,"detail":7}', "application/json"),
        (b'{"error":"  \\n\\t "}', "application/json"),
        (b'{"error":"..."}', "application/json"),
        (b'{"error":' + b'{"error":' * 50_000, "application/json"),
        (b"[" * 60_000 + b"]" * 60_000, "application/json"),
        (b'{"error":' * 30 + b'"deep"' + b"}" * 30, "application/json"),
        (b'{"error":"' + b"long " * MAX_ANSWER_BYTES + b'"}', "application/json"),
    ],
)
def test_where_there_is_no_reason_to_be_had_there_is_none(body: bytes, media_type: str) -> None:
    assert short_reason(body, media_type, CALL) == ""


@pytest.mark.parametrize("media_type", ["application/problem+json", "Application/JSON; charset=utf-8"])
def test_every_spelling_of_json_is_read(media_type: str) -> None:
    assert short_reason(b'{"error":"no masks"}', media_type, CALL) == "no masks"


ECHOES = {
    "letters": SEQUENCE,
    "five letters": SEQUENCE[7:12],
    "lower case": SEQUENCE.lower(),
    "mixed case": "".join(c.lower() if i % 3 else c for i, c in enumerate(SEQUENCE)),
    "blanks": " ".join(SEQUENCE[:40]),
    "dashes and digits": "".join(f"{c}{i}-" for i, c in enumerate(SEQUENCE[:30])),
    "pieces": f"{SEQUENCE[:8]} (and so on) {SEQUENCE[20:29]} and {SEQUENCE[40:45]}",
    "pieces of four": " | ".join(SEQUENCE[i : i + 4] for i in range(0, 40, 4)),
    "lines": "\n".join(SEQUENCE[i : i + 3] for i in range(0, 30, 3)),
    "JSON in JSON": orjson.dumps({"sequence": SEQUENCE}).decode(),
    "JSON escapes": "".join(f"\\u{ord(c):04x}" for c in SEQUENCE[:20]),
    "twice escaped": "".join(f"\\\\u{ord(c):04X}" for c in SEQUENCE[:20]),
    "hex escapes": "".join(f"\\x{ord(c):02x}" for c in SEQUENCE[:20]),
    "HTML entities": "".join(f"&#{ord(c)};" for c in SEQUENCE[:20]),
    "percent encoding": "".join(f"%{ord(c):02X}" for c in SEQUENCE[:20]),
    "percent twice": quote("".join(f"%{ord(c):02X}" for c in SEQUENCE[:20])),
    "colours between": "\x1b[31m".join(SEQUENCE[:20]),
    "zero width between": "\u200b".join(SEQUENCE[:20]),
    "control characters between": "\x00\x08".join(SEQUENCE[:20]),
    "accents": "\u0301".join(SEQUENCE[:20]),
    "full width": "".join(chr(ord(c) + 0xFEE0) for c in SEQUENCE),
    "mathematical letters": "".join(chr(ord(c) - 65 + 0x1D400) for c in SEQUENCE),
    "cyrillic look-alikes": SEQUENCE.translate(str.maketrans("AMHCEPT", "АМНСЕРТ")),
    "cyrillic with blanks": " ".join(SEQUENCE.translate(str.maketrans("AMHCEPT", "АМНСЕРТ"))),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("frame", ["{}", "cannot fold {} on this device", "{}: wrong"])
@pytest.mark.parametrize("call", [CALL, IN_TOKENS], ids=["letters", "tokens"])
def test_no_five_letters_of_the_call_are_shown(echo: str, frame: str, call: bytes) -> None:
    if call is IN_TOKENS:
        echo = echo.replace(SEQUENCE, SEQUENCE[:20])
    shown = reason({"error": frame.format(echo)}, call)
    assert not (leaks(shown) if call is CALL else leaks_first_20(shown))
    assert ("fold" in shown) == ("fold" in frame)


def leaks_first_20(shown: str) -> bool:
    letters = "".join(c for c in shown if c.isalpha()).upper()
    return any(SEQUENCE[i : i + 5] in letters for i in range(16))


def escaped(template: str, count: int = 5) -> str:
    return "".join(template.format(ord(letter)) for letter in SEQUENCE[:count])


@pytest.mark.parametrize(
    "echo",
    [
        "malwm",
        "MaLwM",
        "m a l w m",
        "M|A|L|W|M",
        "MALW MR",
        "M1A2L3W4M5",
        escaped("\\u{:04x}"),
        escaped("\\\\x{:02x}"),
        escaped("&#{};"),
        escaped("&amp;#{};"),
        escaped("%{:02X}"),
        escaped("%25{:02X}"),
        "\x1b[7m".join("malwm"),
        "МАLWМ",
        "М А L W М",
        "ＭＡＬＷＭ",
        "Ма Lw М",
        "жЖ",
    ],
)
def test_even_the_shortest_run_is_found_and_nothing_around_it_is_taken(echo: str) -> None:
    assert reason({"error": f"cannot fold {echo} on it"}) == "cannot fold ... on it"


@pytest.mark.parametrize("word", ["malw", "M A L W", "mal, wxx"])
def test_four_letters_may_be_a_word(word: str) -> None:
    assert reason({"error": f"cannot fold {word} on it"}) == f"cannot fold {word} on it"


@pytest.mark.parametrize("cut", range(1, 20))
def test_half_a_credential_where_the_look_ends_is_not_shown(cut: int) -> None:
    hidden = "12 " * 1000
    text = hidden[: MAX_TEXT - cut - 6] + " word " + "Zx9q-Yw8v_Xu7t-Ws6r_Vq5p"
    assert not set("ZxqYwv") & set(reason({"error": text}))


@pytest.mark.parametrize(
    "numbers",
    [
        "[0, 20, 32]",
        "0 20 32",
        "0,20,32,32,19",
        "[[1.5, -2.0], [0.25]]",
        "1e-3;2E+5;-7",
        "[0, null, 20]",
        "0, <mask>, 20",
        "tensor([ 0,\n 20,\n 32])",
        "\uff10, \uff12\uff10, \uff13\uff12",
        "4d414c574d524c4c",
        "02032320545",
    ],
)
def test_numbers_in_a_row_are_not_shown(numbers: str) -> None:
    shown = reason({"error": f"bad input {numbers} here"})
    assert shown.startswith("bad input")
    assert "..." in shown
    assert shown.endswith("here")
    assert not any(letter.isdigit() for letter in shown)


@pytest.mark.parametrize("text", ["length 1300, at most 1022", "between 1 and 100, not 250", "3 of 4 GPUs; 12.5 s"])
def test_numbers_in_a_sentence_are_shown(text: str) -> None:
    assert reason({"error": text}) == text


SECRETS = [
    "abcdEFGH0123_-abcd4567",
    "esmgw_k1",
    "sk-short1",
    "Bearer abc",
    "api_key=hunter22",
    "token: abc-def",
    base64.b64encode(SEQUENCE[:6].encode()).decode(),
    base64.b64encode(SEQUENCE.encode()).decode(),
    base64.urlsafe_b64encode(bytes(range(200, 240))).decode(),
    "0123456789abcdef",
    "MetAlaLeuTrp",
    "met-ala-leu",
    "GGGGGSGGGGSGG",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_credential_or_a_protein_is_not_shown(secret: str) -> None:
    shown = reason({"error": f"refused: {secret} is unknown"})
    assert secret not in shown
    assert not any(secret[i : i + 6] in shown for i in range(len(secret) - 5))
    assert shown.startswith("refused: ")
    assert "..." in shown
    assert shown.endswith("is unknown")


def test_a_known_secret_is_not_shown_whatever_it_looks_like() -> None:
    assert reason({"error": "the key plain is not ours"}, secrets=("plain", "")) == "the key ... is not ours"


def test_a_sequence_in_the_query_is_the_calls_own_as_well() -> None:
    shown = reason({"error": f"no hits for {SEQUENCE[:6]}"}, b"{}", target=f"/api/v1/msa?sequence={SEQUENCE}")
    assert shown == "no hits for ..."


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    shown = reason({"error": "\x1b]0;title\x07\x1b[2Jred\x1b[0m\r\n\x9b31m bad \u202egnp\u202c \x7f end"})
    assert shown == "red bad gnp end"
    assert all(" " <= letter <= "~" for letter in shown)


def test_a_long_reason_is_cut_after_it_was_looked_at() -> None:
    shown = reason({"error": "word " * 5000})
    assert len(shown) <= MAX_REASON
    assert shown.startswith("word word")
    assert shown.endswith("...")
    for padding in range(150, 260):
        assert not leaks(reason({"error": "." * padding + SEQUENCE}))
        assert not leaks(reason({"error": "x " * (950 + padding // 2) + SEQUENCE + " y" * 500}))


def test_a_call_that_is_too_large_to_compare_with_has_no_reason() -> None:
    large = b'{"model":"m","c":[' + b"1.25," * (MAX_CALL_BYTES // 5) + b"1]}"
    many = b'{"msa":"' + b"ACDEFGHIKL" * (MAX_CALL_LETTERS // 10 + 1) + b'"}'
    assert reason({"error": "no masks"}, large) == ""
    assert reason({"error": "no masks"}, many) == ""
    assert reason({"error": "no masks"}, many[:-20] + b'"}') == "no masks"


@pytest.mark.parametrize(
    "call", [b"", b"no JSON", b'{"a":"open', b'{"sequence":[1 2,99999999999999999999]}', b"\xff\x00"]
)
def test_a_call_that_is_no_json_does_no_harm(call: bytes) -> None:
    assert reason({"error": "no masks"}, call) == "no masks"


def test_escapes_in_the_call_are_undone_before_comparing() -> None:
    call = b'{"headers":["\\u004dALWM\\nRLL"],"note":"a \\" b"}'
    assert reason({"error": "header MALWM RLL"}, call) == "header ..."


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(
    st.text(AMINO_ACIDS, min_size=20, max_size=200),
    st.integers(0, 150),
    st.integers(5, 200),
    st.sampled_from(["", " ", "-", ", ", "\n", "\u200b", "\x1b[1m", "_", "'", " 7 "]),
    st.text(max_size=40),
)
def test_of_any_sequence_no_five_letters_are_shown(seq: str, at: int, n: int, between: str, noise: str) -> None:
    part = between.join(seq[at : at + n])
    shown = reason({"error": f"{noise} cannot use {part} {noise}"}, orjson.dumps({"sequence": seq}))
    pieces = ("".join(c for c in piece if c.isalpha()).upper() for piece in shown.split("..."))
    assert not any(seq[i : i + 5] in piece for piece in pieces for i in range(len(seq) - 5 + 1))
    assert len(shown) <= MAX_REASON
    assert all(" " <= letter <= "~" for letter in shown)


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=20),
        lambda t: st.lists(t) | st.dictionaries(st.sampled_from(["error", "message", "detail", "loc", "msg"]), t),
        max_leaves=20,
    ),
    st.binary(max_size=60),
)
def test_any_answer_and_any_call_give_a_short_plain_line(tree: Any, call: bytes) -> None:
    try:
        body = orjson.dumps(tree)
    except (TypeError, orjson.JSONEncodeError):
        body = b"7"
    shown = short_reason(body, "application/json", call)
    assert len(shown) <= MAX_REASON
    assert all(" " <= letter <= "~" for letter in shown)
