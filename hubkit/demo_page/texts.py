"""Every word on the page, in English and in Chinese."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    subtitle: str
    subtitle_compare: str
    before: str
    after: str
    pane: str
    language: str
    attach: str
    send: str
    stop: str
    picture: str
    placeholder: str
    ask: str
    examples: str
    settings: str
    tokens: str
    temperature: str
    temperature_info: str
    clear: str
    retry: str
    stopped: str
    failed: str
    bad_picture: str
    nothing: str
    local: str
    elsewhere: str


ENGLISH = Texts(
    subtitle="Ask about your own pictures. Several at once are fine, and so are further questions.",
    subtitle_compare="The same question to the base model and to the fine-tuned one, side by side.",
    before="Before",
    after="After",
    pane="Shown talk",
    language="Language",
    attach="Attach pictures",
    send="Send",
    stop="Stop",
    picture="Picture",
    placeholder="**Ask about a picture**\n\nDrop one below, or start from an example.",
    ask="Ask a question, and attach pictures with the clip, or drop them here",
    examples="Examples",
    settings="Settings",
    tokens="Longest answer, in tokens",
    temperature="Temperature",
    temperature_info="0 gives the same answer each time",
    clear="New conversation",
    retry="Ask again",
    stopped="stopped",
    failed="No answer",
    bad_picture="cannot be read as a picture. PNG, JPEG, WebP, GIF and BMP are taken.",
    nothing="Write a question first.",
    local="Runs on this machine. Pictures and questions do not leave it.",
    elsewhere="Pictures and questions go to the server that answers, on another machine.",
)

CHINESE = Texts(
    subtitle="用自己的图片提问：可以一次上传多张，也可以继续追问。",
    subtitle_compare="同一个问题，同时问基座模型和微调后的模型，并排比较。",
    before="微调前",
    after="微调后",
    pane="显示的对话",
    language="语言",
    attach="添加图片",
    send="发送",
    stop="停止",
    picture="图片",
    placeholder="**看图提问**\n\n把图片拖到下方，或从示例开始。",
    ask="输入问题；点回形针或拖放来添加图片",
    examples="示例",
    settings="设置",
    tokens="回答的最大长度（词元）",
    temperature="温度",
    temperature_info="为 0 时每次回答相同",
    clear="新对话",
    retry="重新回答",
    stopped="已停止",
    failed="没有得到回答",
    bad_picture="不是可以读取的图片。支持 PNG、JPEG、WebP、GIF 和 BMP。",
    nothing="请先输入问题。",
    local="全部在本机运行，图片和问题不会离开这台机器。",
    elsewhere="图片和问题会发送到另一台机器上的服务器，由它作答。",
)

TEXTS = {"en": ENGLISH, "zh": CHINESE}


def preferred(accept_language: str) -> str:
    """`zh` or `en`, whichever an Accept-Language header names first."""
    for part in accept_language.lower().split(","):
        if part.strip()[:2] in TEXTS:
            return part.strip()[:2]
    return "en"
