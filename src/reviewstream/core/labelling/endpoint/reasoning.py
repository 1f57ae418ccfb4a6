"""Reasoning of current models, by model name.

As of 30 November 2026. Sources: the model pages and the reasoning guides of OpenAI, Google, xAI,
DeepSeek and Mistral, the `reasoning_options` of models.dev, and the model list of genai-prices
0.2.3. Not measured on a real endpoint. Models not listed are assumed not to reason; if the table is
wrong, `openai.reasoning_effort` and `openai.max_output_tokens_per_label` override it.
"""

import re
from typing import Final

from msgspec import Struct


class ModelManners(Struct, frozen=True, kw_only=True):
    """Reasoning of a model.

    Attributes:
        reasons: Whether it may spend tokens that the answer does not show.
        least_effort: Least `reasoning_effort` that it accepts (`none` disables reasoning); None: it
            accepts none, or the value is unknown.
    """

    reasons: bool = False
    least_effort: str | None = None


_PREFIX: Final = re.compile(r"^(?:.*/|ft:)")  # of a provider, or of a fine-tuned model
_DATE: Final = re.compile(r"-(?:\d{4}-\d\d-\d\d|\d{8})(?![^:@])")

# The first match at the beginning of the name decides.
_MANNERS: Final = tuple(
    (re.compile(pattern), ModelManners(reasons=reasons, least_effort=least))
    for pattern, reasons, least in (
        # OpenAI
        (r"gpt-5-chat", False, None),
        (r"gpt-(?:\d[.\d]*-)?chat", True, None),
        (r"gpt-\d[.\d]*-(?:audio|image|live|realtime|search)", True, None),
        (r"gpt-5-pro", True, "high"),
        (r"gpt-5\.\d+-pro", True, "medium"),
        (r"gpt-5(?:\.[12])?-codex", True, "low"),
        (r"gpt-5(?![.\d])", True, "minimal"),
        (r"gpt-(?:5\.\d|[6-9]|\d\d)", True, "none"),
        (r"gpt-oss", True, "low"),
        (r"o1-(?:mini|preview)", True, None),
        (r"o\d(?:-mini)?-deep-research", True, "medium"),
        (r"o[134](?:-mini|-pro)?(?![\w.])|codex-mini", True, "low"),
        # Google
        (r"gemini-2\.5-flash", True, "none"),
        (r"gemini-2\.5-pro", True, "low"),
        (r"gemini-3(?:\.[0-5])?-flash", True, "minimal"),
        (r"gemini-(?:[3-9]|flash|pro)", True, "low"),
        # xAI
        (r"grok-.*non-reasoning", False, None),
        (r"grok-3-mini", True, "low"),
        (r"grok-4\.3(?!\d)", True, "none"),
        (r"grok-4\.[4-9](?!\d)|grok-[5-9]", True, "low"),
        (r"grok-(?:4|code)|grok-.*reasoning", True, None),
        # others
        (r"deepseek-(?:r1|reasoner)|.*-r1-distill", True, None),
        (r"deepseek-(?:v[4-9]|flash)", True, "low"),
        (r"mistral-(?:small-(?:2603|latest)|medium-(?:2604|3-5|latest))", True, "none"),
        (r"magistral|qwq|glm-(?:4\.[5-9]|[5-9])|kimi-k(?:2-thinking|[3-9])|minimax-m", True, None),
        (r"qwen-?3(?!.*instruct)", True, None),
        (r".*(?:-reasoning|-thinking)", True, None),
    )
)


def manners_of(model: str) -> ModelManners:
    """Return the reasoning of a model, by its name. Never raises.

    Args:
        model: Name in requests; a provider's prefix (`openai/`) and a date at the end are ignored.
    """
    name = _DATE.sub("", _PREFIX.sub("", model.strip().lower()))
    return next((found for pattern, found in _MANNERS if pattern.match(name)), ModelManners())
