from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agent.budget import Calibration, Read, least_tokens, request_tokens, tokens_of
from bot.agent.context import fit
from bot.agent.items import (
    AssistantMessage,
    Exchange,
    Image,
    Item,
    Origin,
    Part,
    Text,
    ToolCall,
    ToolOutput,
    UserMessage,
    complete,
    said,
    text_of,
)
from bot.agent.marking import clip
from bot.agent.models.protocol import ModelRequest

HERE = Origin("http://x", "m")


def exchange(number: int, output: str = "result", *, figure: bool = False) -> Exchange:
    parts: tuple[Part, ...] = (Text(output), *([Image("image/png", b"png", f"plot {number}")] if figure else []))
    call = ToolCall(f"c{number}", "execute_python_code", f'{{"code": "step_{number}()"}}')
    return Exchange((said(f"question {number}"), call, ToolOutput(f"c{number}", parts), AssistantMessage(f"answer {number}")))


def figures_in(items: tuple[Item, ...]) -> list[str]:
    outputs = (item for item in items if isinstance(item, ToolOutput))
    return [part.description for output in outputs for part in output.parts if isinstance(part, Image)]


class TestWhatIsTooLong:
    def test_stays_as_it_is_if_it_is_not(self) -> None:
        exchanges = [exchange(n) for n in range(3)]
        fitted = fit(exchanges, 10_000)
        assert fitted.steps == ()
        assert list(fitted.items) == [item for each in exchanges for item in each.items]

    def test_loses_its_oldest_figures_first_and_no_more_than_needed(self) -> None:
        fitted = fit([exchange(n, figure=True) for n in range(4)], 2_600)
        assert fitted.steps == ("figures",)
        assert figures_in(fitted.items) == ["plot 2", "plot 3"]
        told = [text_of(item.parts) for item in fitted.items if isinstance(item, ToolOutput)]
        assert ["not attached any more" in text for text in told] == [True, True, False, False]

    def test_then_has_its_oldest_outputs_shortened(self) -> None:
        fitted = fit([exchange(n, "x" * 8_000) for n in range(4)], 6_000)
        lengths = [len(text_of(item.parts)) for item in fitted.items if isinstance(item, ToolOutput)]
        assert fitted.steps == ("outputs",)
        assert lengths[0] < 600
        assert lengths[-1] == 8_000

    def test_then_becomes_summaries_of_what_was_asked_ran_and_came_out(self) -> None:
        fitted = fit([exchange(n, "y" * 300) for n in range(60)], 3_000)
        assert "summaries" in fitted.steps
        told = fitted.items[0]
        assert isinstance(told, UserMessage)
        assert "ran: step_" in text_of(told.parts)
        assert "asked: question" in text_of(told.parts)
        assert fitted.items[-1] == AssistantMessage("answer 59")

    def test_leaves_the_latest_outputs_whole_as_long_as_older_exchanges_can_become_summaries(self) -> None:
        fitted = fit([exchange(n, f"{n} " * 1_000) for n in range(200)], 5_000)
        lengths = [len(text_of(item.parts)) for item in fitted.items if isinstance(item, ToolOutput)]
        assert lengths[-2:] == [4_000, 4_000]
        assert set(lengths[:-2]) == {len(clip("100 " * 1_000, 400))}
        told = fitted.items[0]
        assert isinstance(told, UserMessage)
        assert 500 < tokens_of([told]) < 0.25 * 5_000 + 50
        assert 0.8 * 5_000 < tokens_of(fitted.items) <= 5_000

    def test_is_cut_in_the_last_exchange_only_when_nothing_else_is_left(self) -> None:
        fitted = fit([exchange(0, "z" * 50_000)], 1_500)
        assert tokens_of(fitted.items) <= 1_500
        assert fitted.items[0] == said("question 0")

    @given(
        sizes=st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), min_size=1, max_size=15), budget=st.integers(500, 20_000)
    )
    def test_keeps_every_call_with_its_answer_and_the_question_whatever_it_is(
        self, sizes: list[tuple[int, bool]], budget: int
    ) -> None:
        exchanges = [exchange(number, "w" * size, figure=figure) for number, (size, figure) in enumerate(sizes)]
        items = fit(exchanges, budget).items
        calls = [item.call_id for item in items if isinstance(item, ToolCall)]
        assert calls == [item.call_id for item in items if isinstance(item, ToolOutput)]
        assert said(f"question {len(sizes) - 1}") in items
        assert complete(items) == list(items)
        assert tokens_of(items) <= max(budget, 500)


def request(text: str, *pictures: Image) -> ModelRequest:
    return ModelRequest("m", "", [UserMessage((Text(text), *pictures))])


class TestTheCalibration:
    def test_learns_how_an_endpoint_counts(self) -> None:
        calibration, asked = Calibration(), request("word " * 720)
        for _ in range(20):
            assert not calibration.learn(HERE, asked, round(1.5 * request_tokens(asked)))
        assert calibration.factor(HERE) == pytest.approx(1.5, abs=0.01)
        assert calibration.factor(Origin("http://x", "other")) == 1.0

    def test_sees_that_an_endpoint_cut_and_does_not_learn_from_it(self) -> None:
        calibration = Calibration()
        assert calibration.learn(HERE, request("a few words " * 6_000), 4_096)
        assert calibration.factor(HERE) == 1.0

    def test_sees_that_an_endpoint_reads_no_more_although_more_is_sent(self) -> None:
        before = Read(least_tokens(request("a few words " * 1_200)), 4_090)
        longer = request("a few words " * 1_600)
        assert Calibration().learn(HERE, longer, 4_090, before)
        assert not Calibration().learn(HERE, longer, 4_900, before)
        assert not Calibration().learn(HERE, request("a few words " * 1_250), 4_090, before)

    @pytest.mark.parametrize(
        ("asked", "reported"),
        [
            pytest.param(request(""), 10, id="nothing was sent"),
            pytest.param(request("word " * 3_000), 0, id="nothing is reported"),
            pytest.param(request("word " * 700), 10, id="it was short"),
            pytest.param(request("word " * 5_000), 5_000, id="each word is a token"),
            pytest.param(request("медленное слово " * 2_000), 7_500, id="a vocabulary with long Russian words"),
            pytest.param(request(("1" + " " * 79 + "\n") * 400), 1_200, id="a table of blanks"),
            pytest.param(request("look", *[Image("image/png", b"png")] * 4), 400, id="pictures that cost little"),
        ],
    )
    def test_is_not_alarmed_by_what_tokenisers_may_do(self, asked: ModelRequest, reported: int) -> None:
        assert not Calibration().learn(HERE, asked, reported)

    def test_keeps_in_mind_what_was_too_long(self) -> None:
        calibration = Calibration()
        assert calibration.limit(HERE) is None
        assert calibration.too_long(HERE, 9_000, None) == 9_000
        assert calibration.too_long(HERE, 8_500, 8_192) == 8_192
        assert calibration.too_long(HERE, 20_000, 3) == 8_192, "a number that cannot be meant"
        assert calibration.limit(HERE) == 8_192


class TestACallWithoutAnAnswer:
    def test_gets_one_made_up_before_anything_else(self) -> None:
        calls = [ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")]
        items = complete([said("x"), *calls, ToolOutput("a", (Text("1"),)), said("y")])
        assert [type(item).__name__ for item in items] == [
            "UserMessage",
            "ToolCall",
            "ToolCall",
            "ToolOutput",
            "ToolOutput",
            "UserMessage",
        ]
        assert "end of this call is not known" in text_of(items[4].parts) if isinstance(items[4], ToolOutput) else False

    def test_and_an_answer_without_a_call_is_left_out(self) -> None:
        assert complete([said("x"), ToolOutput("q", (Text("1"),))]) == [said("x")]
