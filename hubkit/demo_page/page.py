"""The page: what is on it, and what happens when somebody uses it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from ..inference.serving import Serving
from ..sdk import PictureError
from .client import Answer
from .conversation import Said, Turn, messages, take_picture
from .examples import Example
from .sessions import Sessions
from .texts import TEXTS, Texts, preferred

SECONDS_BETWEEN_LOOKS = 0.05
MOST_VISITORS = 64
FONTS = [
    "ui-sans-serif",
    "system-ui",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
]

PANE = "pane => { document.querySelector('#talks').dataset.pane = pane }"
"""On a narrow screen only that talk is shown (style.css)."""
NAMES = (
    "language => { const names = "
    + json.dumps(
        {
            language: {
                "#box textarea": texts.ask,
                "#box [data-testid=upload-button]": texts.attach,
                "#box input[type=file]": texts.attach,
                "#box [data-testid=submit-button]": texts.send,
                "#box .stop-button": texts.stop,
                "#talks button:has(> .image-frame)": texts.picture,
                "#language": texts.language,
                "#pane": texts.pane,
            }
            for language, texts in TEXTS.items()
        }
    )
    + """[language]
  window.giveNames = () => {
    for (const [selector, name] of Object.entries(names))
      for (const one of document.querySelectorAll(selector)) one.setAttribute("aria-label", name)
  }
  window.giveNames()
  window.namesKept ??= new MutationObserver(() => window.giveNames())
  for (const place of document.querySelectorAll("#box, #talks"))
    window.namesKept.observe(place, {childList: true, subtree: true})
}"""
)
"""For screen readers: Gradio has buttons with pictures and no words, and makes them anew."""

Turns = tuple[Turn, ...]


def appearance() -> dict[str, Any]:
    """How the page looks: a theme without fonts from elsewhere, and the style sheet beside this
    file."""
    theme = gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=FONTS,
        font_mono=["ui-monospace", "monospace"],
    )
    return {"theme": theme, "css": (Path(__file__).parent / "style.css").read_text("utf-8")}


def build(
    servers: tuple[Serving, ...], examples: Sequence[Example], language: str, folder: Path
) -> gr.Blocks:
    """The page for one server, or for two: the base's and the model's. `folder` takes pictures on
    their way to them."""
    first = "en" if language == "auto" else language
    page = Page(servers, folder, TEXTS[first])
    with gr.Blocks(title=servers[-1].name, analytics_enabled=False, fill_height=True) as made:
        page.lay_out(examples, first)
        page.connect(made, language)
    blocks: gr.Blocks = made
    return blocks


@dataclass
class Page:
    """`texts` are those of the first rendering."""

    servers: tuple[Serving, ...]
    folder: Path
    texts: Texts
    sessions: Sessions = field(default_factory=Sessions)

    def lay_out(self, examples: Sequence[Example], first: str) -> None:
        with gr.Row(elem_id="top"):
            self.header = gr.HTML(self._header(self.texts), elem_id="header", padding=False)
            self.language = gr.Radio(
                [("English", "en"), ("中文", "zh")],
                value=first,
                show_label=False,
                container=False,
                elem_id="language",
                scale=0,
                min_width=190,
            )
        self.pane = gr.Radio(
            self._panes(self.texts),
            value=len(self.servers) - 1,
            label=self.texts.pane,
            show_label=False,
            container=False,
            elem_id="pane",
            visible=len(self.servers) > 1,
        )
        with gr.Row(equal_height=True, elem_id="talks"):
            self.talks = [
                gr.Chatbot(
                    label=self._label(place, self.texts),
                    placeholder=self.texts.placeholder,
                    height="50vh",
                    min_height=320,
                    buttons=["copy"],
                    elem_id=f"talk-{place}",
                    elem_classes=["talk"],
                    layout="bubble",
                    allow_tags=False,
                    show_label=len(self.servers) > 1,
                )
                for place in range(len(self.servers))
            ]
        self.box = gr.MultimodalTextbox(
            placeholder=self.texts.ask,
            file_count="multiple",
            file_types=["image"],
            show_label=False,
            elem_id="box",
            autofocus=True,
            max_lines=6,
        )
        with gr.Row(elem_id="buttons"):
            self.clear = gr.Button(self.texts.clear, elem_id="clear", size="sm")
            self.retry = gr.Button(self.texts.retry, elem_id="retry", size="sm", interactive=False)
        self.examples = gr.Examples(
            [
                [{"text": one.text, "files": [str(picture) for picture in one.pictures]}]
                for one in examples
            ],
            self.box,
            label=self.texts.examples,
            examples_per_page=6,
            elem_id="examples",
            api_visibility="private",
        )
        with gr.Accordion(self.texts.settings, open=False) as self.settings, gr.Row():
            self.tokens = gr.Slider(1, 2048, 512, step=1, label=self.texts.tokens)
            self.temperature = gr.Slider(
                0, 1.5, 0, step=0.05, label=self.texts.temperature, info=self.texts.temperature_info
            )
        self.local = gr.HTML(self._local(self.texts), elem_id="local")
        self.turns = gr.State(())

    def connect(self, blocks: gr.Blocks, language: str) -> None:
        """While an answer runs, only that answer writes. Stopping asks it to end; forgetting waits
        until it has, and cancels it: Gradio sends an answer's last state once more when it ends."""
        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        queued = {**hidden, "concurrency_limit": MOST_VISITORS}
        given = [self.box, self.turns, self.tokens, self.temperature, self.language]
        shown = [*self.talks, self.turns, self.box, self.retry]
        asked = self.box.submit(self.ask, given, shown, **queued)
        again = self.retry.click(self.ask_again, given, shown, **queued)
        self.box.stop(self.stop, None, None, queue=False, **hidden)
        self.clear.click(self.forget, self.language, shown, cancels=[asked, again], **queued)
        translated = [
            *(
                self.header,
                self.pane,
                *self.talks,
                self.box,
                self.clear,
                self.retry,
                self.examples.dataset,
            ),
            *(self.settings, self.tokens, self.temperature, self.local),
        ]
        self.language.change(
            self.translate, [self.language], translated, queue=False, **hidden
        ).then(None, self.language, None, js=NAMES, **hidden)
        self.pane.change(None, self.pane, None, js=PANE, **hidden)
        blocks.load(None, self.language, None, js=NAMES, **hidden)
        blocks.unload(self.stop)
        if language == "auto":
            blocks.load(browser_language, None, [self.language], queue=False, **hidden)

    def ask(
        self,
        question: dict[str, Any],
        turns: Turns,
        tokens: int,
        temperature: float,
        language: str,
        request: gr.Request,
    ) -> Iterator[Any]:
        texts = TEXTS[language]
        text, files = (question.get("text") or "").strip(), question.get("files") or []
        try:
            pictures = tuple(take_picture(Path(file), self.folder) for file in files)
            problem = "" if text else texts.nothing
        except PictureError as error:
            problem = f"{html.escape(str(error))} {texts.bad_picture}"
        if problem:
            gr.Warning(problem)
            yield self._shown(turns, texts, question)
            return
        turn = Turn(text, pictures, tuple(Said() for _ in self.servers))
        yield from self._answers((*turns, turn), int(tokens), temperature, texts, request)

    def ask_again(
        self,
        question: dict[str, Any],
        turns: Turns,
        tokens: int,
        temperature: float,
        language: str,
        request: gr.Request,
    ) -> Iterator[Any]:
        """The last question once more."""
        texts = TEXTS[language]
        if not turns:
            yield self._shown(turns, texts, question)
            return
        last = turns[-1].hear([Said() for _ in self.servers])
        yield from self._answers((*turns[:-1], last), int(tokens), temperature, texts, request)

    def _answers(
        self, turns: Turns, tokens: int, temperature: float, texts: Texts, request: gr.Request
    ) -> Iterator[Any]:
        answers = [
            Answer(server, messages(turns, place), tokens, temperature)
            for place, server in enumerate(self.servers)
        ]
        with self.sessions.answering(str(request.session_hash)) as stopped:
            try:
                for answer in answers:
                    answer.start()
                yield self._shown(turns, texts, None, busy=True)
                while not stopped.wait(SECONDS_BETWEEN_LOOKS) and not all(
                    answer.done for answer in answers
                ):
                    said = tuple(Said(answer.text, answer.error, answer.done) for answer in answers)
                    if said != turns[-1].said:
                        turns = (*turns[:-1], turns[-1].hear(said))
                        yield self._shown(turns, texts, None, busy=True)
            finally:
                for answer in answers:
                    answer.close()
            said = tuple(
                Said(
                    answer.text,
                    answer.error or ("" if answer.text or answer.done else texts.stopped),
                    True,
                )
                for answer in answers
            )
            yield self._shown((*turns[:-1], turns[-1].hear(said)), texts, None)

    def stop(self, request: gr.Request) -> None:
        """What was said so far stays. Also called when the tab is closed."""
        self.sessions.stop(str(request.session_hash))

    def forget(self, language: str, request: gr.Request) -> list[Any]:
        self.sessions.stop(str(request.session_hash))
        return self._shown((), TEXTS[language], None)

    def translate(self, language: str) -> list[Any]:
        texts = TEXTS[language]
        return [
            self._header(texts),
            gr.Radio(self._panes(texts), label=texts.pane),
            *(
                gr.Chatbot(label=self._label(place, texts), placeholder=texts.placeholder)
                for place in range(len(self.talks))
            ),
            gr.MultimodalTextbox(placeholder=texts.ask),
            gr.Button(texts.clear),
            gr.Button(texts.retry),
            gr.Dataset(label=texts.examples),
            gr.Accordion(texts.settings),
            gr.Slider(label=texts.tokens),
            gr.Slider(label=texts.temperature, info=texts.temperature_info),
            self._local(texts),
        ]

    def _shown(
        self, turns: Turns, texts: Texts, question: dict[str, Any] | None, busy: bool = False
    ) -> list[Any]:
        """The talks, the turns, the box (emptied unless `question` is given back) and the button to
        ask again."""
        talks = [bubbles(turns, place, texts) for place in range(len(self.servers))]
        return [
            *talks,
            turns,
            _box(question, busy, texts),
            gr.Button(interactive=bool(turns) and not busy),
        ]

    def _label(self, place: int, texts: Texts) -> str:
        if len(self.servers) == 1:
            return self.servers[0].name
        return f"{(texts.before, texts.after)[place]} · {self.servers[place].name}"

    def _panes(self, texts: Texts) -> list[tuple[str, int]]:
        """The names of the models stand above, as a phone has no room for them twice."""
        return [(texts.before, 0), (texts.after, 1)][: len(self.servers)]

    def _header(self, texts: Texts) -> str:
        subtitle = texts.subtitle if len(self.servers) == 1 else texts.subtitle_compare
        return f"<h1>{html.escape(self.servers[-1].name)}</h1><p>{html.escape(subtitle)}</p>"

    def _local(self, texts: Texts) -> str:
        away = any(server.elsewhere for server in self.servers)
        return f"<p>{html.escape(texts.elsewhere if away else texts.local)}</p>"


def bubbles(turns: Turns, place: int, texts: Texts) -> list[dict[str, Any]]:
    """The conversation with the model at `place`, as Gradio's chat shows it."""
    found: list[dict[str, Any]] = []
    for turn in turns:
        found += [
            {"role": "user", "content": {"path": str(picture.shown)}} for picture in turn.pictures
        ]
        found.append({"role": "user", "content": turn.text})
        said = turn.said[place]
        text = said.text or ("" if said.done else "…")
        if text:
            found.append({"role": "assistant", "content": text})
        if said.error:
            found.append(
                {"role": "assistant", "content": f"⚠️ {texts.failed}: {html.escape(said.error)}"}
            )
    return found


def _box(question: dict[str, Any] | None, busy: bool, texts: Texts) -> gr.MultimodalTextbox:
    """While an answer is on its way, its arrow is a stop. Gradio 6.31 goes back to the first
    placeholder unless it is told again."""
    return gr.MultimodalTextbox(
        value=question, placeholder=texts.ask, submit_btn=not busy, stop_btn=busy
    )


def browser_language(request: gr.Request) -> str:
    return preferred(str(request.headers.get("accept-language", "")))
