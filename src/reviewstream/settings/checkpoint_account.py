"""The account that pays for a checkpoint's run, and the canonical name of the checkpoint."""

import json
import re
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any, Final

from reviewstream.errors import ConfigError

if TYPE_CHECKING:
    from reviewstream.settings.pipeline_settings import Settings

IDENTITY: Final = "reviewstream.json"  # in a checkpoint's folder: its query, stream and account
_LOCAL: Final = re.compile(r"file:(///|/(?!/))(?P<path>.*)")  # its path is not percent-encoded
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")  # `dbfs:/x` is one, too


def accounted(settings: "Settings") -> "Settings":
    """Return settings with the checkpoint's account, unless `limits.account` is set.

    So a restarted query continues with the same budget: the account is recorded beside the
    checkpoint, and moves with it.

    Raises:
        ConfigError: The record beside the checkpoint cannot be read.
    """
    if settings.limits.account is not None:
        return settings
    account = account_of(settings.spark.checkpoint)
    limits = settings.limits.model_copy(update={"account": account})
    return settings.model_copy(update={"limits": limits})


def account_of(checkpoint: str) -> str:
    """Return the recorded account of a checkpoint, or the default one of a new checkpoint."""
    folder = local_folder(checkpoint)
    if folder is None:
        return checkpoint
    kept = _kept_beside(folder)
    if account := kept.get("account"):
        return str(account)
    stream = str(kept.get("stream") or "")
    # Before accounts were recorded, the path named both, unless the stream was given a name.
    is_path = Path(stream).is_absolute() or _URL.match(stream)
    return stream if is_path else str(folder)


def _kept_beside(folder: Path) -> dict[str, Any]:
    """Return the metadata recorded beside a checkpoint; see `core.delivery.checkpoint_metadata`."""
    file = folder / IDENTITY
    try:
        kept = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as err:
        raise ConfigError(f"{file}: {err.strerror}: it names the account that pays") from err
    except (ValueError, RecursionError):
        kept = None
    if isinstance(kept, dict):
        return kept
    raise ConfigError(f"{file} is damaged: put back the one of your copy of the checkpoint")


def absolute(checkpoint: str) -> str:
    """Return the canonical name of a checkpoint, independent of spelling and current folder."""
    folder = local_folder(checkpoint)
    return checkpoint if folder is None else str(folder)


def local_folder(checkpoint: str) -> Path | None:
    """Return the folder of a path or URL without links, or None if it is not on this machine.

    As in Hadoop, ".." removes the preceding part, even if that is a link.
    """
    local = _LOCAL.fullmatch(checkpoint)
    if local is None and _URL.match(checkpoint):
        return None
    path = Path("/", local["path"]) if local else Path(checkpoint)
    return Path(normpath(Path(path).absolute())).resolve()  # `Path` keeps "..", because of links
