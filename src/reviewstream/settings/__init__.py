"""Settings: frozen values, built once at the edge and passed down.

Order of precedence: argument, environment, env file, `reviewstream.toml`, default. Environment
variables are named `REVIEWSTREAM_<SECTION>__<NAME>`; `OPENAI_API_KEY`, `OPENAI_BASE_URL` and
`REVIEWSTREAM_LEDGER_URL` are also read. A variable for a secret may end in `_FILE`: it then names
a file that contains the secret.
"""

from reviewstream.settings.checkpoint_account import (
    IDENTITY,
    absolute,
    account_of,
    accounted,
    local_folder,
)
from reviewstream.settings.environment import SHORT_NAMES
from reviewstream.settings.model_settings import LedgerSettings, LimitsSettings, OpenAISettings
from reviewstream.settings.pipeline_settings import SETTINGS_FILE, Settings
from reviewstream.settings.section import is_secret, secret_value
from reviewstream.settings.server_settings import (
    ConnectSettings,
    Delivery,
    ElasticsearchSettings,
    KafkaSettings,
    RegistrySettings,
    SourceSettings,
    SparkSettings,
)

__all__ = [
    "IDENTITY",
    "SETTINGS_FILE",
    "SHORT_NAMES",
    "ConnectSettings",
    "Delivery",
    "ElasticsearchSettings",
    "KafkaSettings",
    "LedgerSettings",
    "LimitsSettings",
    "OpenAISettings",
    "RegistrySettings",
    "Settings",
    "SourceSettings",
    "SparkSettings",
    "absolute",
    "account_of",
    "accounted",
    "is_secret",
    "local_folder",
    "secret_value",
]
