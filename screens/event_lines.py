"""A run's events as lines of its log, for a person. Pure functions; what they return is safe to paint."""

from __future__ import annotations

import time
from typing import Any, TypeGuard

from workbench.output import duration
from workbench.text import for_terminal

_FORMS = {
    "loss": "loss {:.4f}",
    "accuracy": "accuracy {:.0%}",
    "rewards/margins": "margin {:.3f}",
    "rewards/accuracies": "accuracy {:.0%}",
    "reward": "reward {:.3f}",
    "kl": "kl {:.4f}",
    "eval_loss": "eval loss {:.4f}",
    "eval_accuracy": "eval accuracy {:.0%}",
    "eval_rewards/margins": "eval margin {:.3f}",
    "eval_rewards/accuracies": "eval accuracy {:.0%}",
    "eval_reward": "eval reward {:.3f}",
    "learning_rate": "lr {:.2e}",
    "grad_norm": "gradient {:.2f}",
    "tokens_per_second": "{:.0f} tokens/s",
}
_WHY = {
    "best": ", the best so far",
    "asked": ", as you asked",
    "stop": ", before it stops",
    "end": ", at the end",
}


def describe(event: dict[str, Any]) -> str | None:
    """One event as a line of the log; None for what is shown elsewhere."""
    text = _text(event)
    if text is None:
        return None
    moment = event.get("time")
    clock = time.strftime("%H:%M:%S", time.localtime(moment)) if isinstance(moment, int | float) and moment else " " * 8
    return f"{clock}  {for_terminal(text, one_line=True)}"


def expectations(check: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What the pre-flight expected and what came: (name, expected, actual) of each figure that both tell."""
    expected, actual = check.get("expected"), check.get("actual")
    if not (isinstance(expected, dict) and isinstance(actual, dict)):
        return []
    lines = []
    for name, say in (("seconds", duration), ("peak_memory_bytes", gigabytes)):
        if is_number(expected.get(name)) and is_number(actual.get(name)):
            lines.append((name, say(expected[name]), say(actual[name])))
    return lines


def gigabytes(count: float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB"


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a field of an event is a finite figure."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300  # nor NaN


def _text(event: dict[str, Any]) -> str | None:
    step = event.get("step")
    match event.get("type"):
        case "message":
            level = event.get("level", "info")
            return ("" if level == "info" else f"{level}: ") + str(event.get("text", ""))
        case "state":
            return str(event.get("state")) + (f": {event['error']}" if event.get("error") else "")
        case "resumed":
            return "goes on from the beginning" if step == -1 else f"goes on from step {step}"
        case "nan":
            return f"error: step {step} is not finite: loss {event.get('loss')}"
        case "checkpoint":
            return f"step {step}: checkpoint saved{_WHY.get(str(event.get('why')), '')}"
        case "best":
            if "eval_reward" in event:
                return f"step {step}: eval reward {_number(event['eval_reward'])}, the highest so far"
            return f"step {step}: eval loss {_number(event.get('eval_loss'))}, the lowest so far"
        case "overfitting":
            return (
                f"warning: step {step}: eval loss rises while the training loss falls; step {event.get('best_step')} "
                "was the best"
            )
        case "early_stop":
            return f"step {step}: stops early, it got no better than at step {event.get('best_step')}"
        case "learning_rate":
            before, after = event.get("before"), event.get("after")
            return f"step {step}: learning rate changed from {_rate(before)} to {_rate(after)}"
        case "paused":
            return f"step {step}: paused"
        case "continued":
            return f"step {step}: goes on after the pause"
        case "preflight":
            return _preflight(event)
        case "preflight_check":
            figures = [f"{_NAMES[name]} {expected}, came to {actual}" for name, expected, actual in expectations(event)]
            return f"expected {'; '.join(figures)}" if figures else None
        case "metrics":
            figures = [form.format(event[name]) for name, form in _FORMS.items() if is_number(event.get(name))]
            return "  ".join([f"step {step}", *figures])
    return None


_NAMES = {"seconds": "time", "peak_memory_bytes": "memory"}


def _preflight(event: dict[str, Any]) -> str | None:
    parts = []
    for name, form in (
        ("pairs", "{:,} pairs"),
        ("eval_pairs", "{:,} to evaluate on"),
        ("dropped", "{:,} dropped"),
        ("cut", "{:,} cut"),
        ("tokens", "{:,} tokens"),
        ("steps", "{:,} steps"),
        ("trainable_parameters", "{:,} trained parameters"),
    ):
        if is_number(event.get(name)) and (event[name] or name not in ("dropped", "cut")):
            parts.append(form.format(event[name]))
    if is_number(event.get("peak_memory_bytes")):
        parts.append(f"about {gigabytes(event['peak_memory_bytes'])}")
    if is_number(event.get("seconds")):
        parts.append(f"about {duration(event['seconds'])}")
    return f"before the first step: {', '.join(parts)}" if parts else None


def _number(value: Any) -> str:
    return f"{value:.4f}" if is_number(value) else "?"


def _rate(value: Any) -> str:
    return f"{value:.2e}" if is_number(value) else "?"
