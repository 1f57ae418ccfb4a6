import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs

from reviewstream.core.delivery.checkpoint_metadata import identity_text, read_identity
from reviewstream.core.delivery.markers import Marker
from reviewstream.errors import ConfigError
from reviewstream.settings import (
    IDENTITY,
    KafkaSettings,
    LimitsSettings,
    Settings,
    SparkSettings,
    absolute,
    accounted,
)
from reviewstream.spark.checkpoint import Checkpoint, anchored, use

KAFKA = KafkaSettings()
IN_USE = "another query uses checkpoint .* just now: stop it first"
HOLDER = """
import sys
from reviewstream.spark.checkpoint import use

checkpoint = use(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "checkpoint"


@pytest.fixture
def checkpoint(folder: Path) -> Iterator[Checkpoint]:
    checkpoint = use(str(folder))
    yield checkpoint
    checkpoint.release()


def begun_by_spark(folder: Path, query: str) -> None:
    (folder / "metadata").write_text(f'{{"id":"{query}"}}')


def test_a_new_checkpoint_learns_whose_it_is(checkpoint: Checkpoint, folder: Path) -> None:
    checkpoint.check(KAFKA)
    begun_by_spark(folder, "q1")
    checkpoint.started(KAFKA, "q1")
    checkpoint.check(KAFKA)
    recorded = read_identity((folder / IDENTITY).read_text(), "f")
    assert (recorded.query, recorded.labelled_topic) == ("q1", "reviews.labelled")


def test_a_start_that_was_killed_before_the_query_was_known_is_made_up_for(
    checkpoint: Checkpoint, folder: Path
) -> None:
    checkpoint.check(KAFKA)
    begun_by_spark(folder, "q1")  # and killed
    checkpoint.check(KAFKA)
    assert read_identity((folder / IDENTITY).read_text(), "f").query == "q1"


def test_a_checkpoint_from_before_there_was_an_identity_gets_one(
    checkpoint: Checkpoint, folder: Path
) -> None:
    begun_by_spark(folder, "q1")
    checkpoint.check(KAFKA)
    with pytest.raises(ConfigError, match=r"labelled_topic is reviews\.labelled, not other"):
        checkpoint.check(KafkaSettings(labelled_topic="other"))


def test_what_is_refused_changes_nothing(checkpoint: Checkpoint, folder: Path) -> None:
    begun_by_spark(folder, "q1")
    checkpoint.check(KAFKA)
    before = (folder / IDENTITY).read_bytes()
    with pytest.raises(ConfigError):
        checkpoint.check(KafkaSettings(labelled_topic="other"))
    assert (folder / IDENTITY).read_bytes() == before


def test_a_start_that_failed_before_anything_began_binds_nobody(checkpoint: Checkpoint) -> None:
    checkpoint.check(KafkaSettings(labelled_topic="mistyped"))
    checkpoint.check(KAFKA)


def test_the_stream_keeps_its_name_when_its_checkpoint_is_moved(
    checkpoint: Checkpoint, folder: Path
) -> None:
    assert checkpoint.check(KAFKA).stream_name == str(folder)
    begun_by_spark(folder, "q1")
    checkpoint.release()
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    moved = use(str(elsewhere))
    assert moved.check(KAFKA).stream_name == str(folder)
    moved.started(moved.check(KAFKA), "q1")
    moved.release()
    again = use(str(elsewhere))
    assert again.check(KAFKA).stream_name == str(folder)
    again.release()


def account_of(checkpoint: str, **limits: str) -> str | None:
    """Return who pays for a query with this checkpoint; nothing is started for that."""
    settings = Settings(
        spark=SparkSettings(checkpoint=checkpoint), limits=LimitsSettings.model_validate(limits)
    )
    return accounted(settings).limits.account


def test_the_account_follows_a_checkpoint_that_is_moved(
    checkpoint: Checkpoint, folder: Path
) -> None:
    assert account_of(str(folder)) == str(folder)
    checkpoint.check(KafkaSettings(stream_name="mine"))
    begun_by_spark(folder, "q1")
    checkpoint.started(KafkaSettings(stream_name="mine"), "q1")
    checkpoint.release()
    elsewhere = str(folder.rename(folder.with_name("elsewhere")))
    assert account_of(elsewhere) == str(folder)
    moved = use(elsewhere)
    moved.check(KAFKA)
    moved.started(KAFKA, "q1")
    moved.release()
    assert account_of(elsewhere) == str(folder)
    assert account_of(elsewhere, account="team") == "team"


@pytest.mark.parametrize(
    ("stream", "expected"),
    [("/began/here", "/began/here"), ("file:///began", "file:///began"), ("mine", None)],
)
def test_the_account_of_a_checkpoint_from_before_it_was_kept_is_the_path_that_it_began_with(
    checkpoint: Checkpoint, folder: Path, stream: str, expected: str | None
) -> None:
    begun_by_spark(folder, "q1")
    checkpoint.check(KafkaSettings(stream_name=stream))
    recorded = read_identity((folder / IDENTITY).read_bytes(), "f")
    (folder / IDENTITY).write_text(identity_text(structs.replace(recorded, account=None)))
    assert account_of(str(folder)) == (expected or str(folder))
    checkpoint.check(KAFKA)
    kept = read_identity((folder / IDENTITY).read_bytes(), "f").account
    assert kept == (expected or str(folder))


@pytest.mark.usefixtures("checkpoint")
def test_what_is_beside_a_checkpoint_and_cannot_be_read_is_no_new_budget(folder: Path) -> None:
    for damaged in (b"", b"[]", b"\xff", b"[" * 100_000):
        (folder / IDENTITY).write_bytes(damaged)
        with pytest.raises(ConfigError, match=rf"{IDENTITY} is damaged: put back"):
            account_of(str(folder))
    (folder / IDENTITY).unlink()
    (folder / IDENTITY).mkdir()
    with pytest.raises(ConfigError, match=rf"{IDENTITY}: .*directory: it names the account"):
        account_of(str(folder))


def test_there_is_nothing_beside_a_checkpoint_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert account_of(str(tmp_path / "file")) == str(tmp_path / "file")


def marker_of(batch: int, query: str = "q1") -> Marker:
    return Marker(query=query, batch=batch, count=1, checksum=1)


def told(last: Marker | None) -> Callable[[], Marker | None]:
    return lambda: last


def test_a_micro_batch_that_is_written_and_not_planned_here_makes_it_an_old_copy(
    checkpoint: Checkpoint, folder: Path
) -> None:
    begun_by_spark(folder, "q1")
    with pytest.raises(ConfigError, match="comes too late"):
        checkpoint.check_past(told(marker_of(0)))  # and nothing is planned yet
    (folder / "offsets").mkdir()
    for name in ("8", "9", "10", ".10.crc", "tmp"):
        (folder / "offsets" / name).touch()
    for fine in (None, marker_of(9), marker_of(10)):
        checkpoint.check_past(told(fine))
    with pytest.raises(ConfigError, match="micro-batch 10 comes too late, as 11 is written"):
        checkpoint.check_past(told(marker_of(11)))
    with pytest.raises(ConfigError, match=r"another query \(q2, .* this one \(q1\)"):
        checkpoint.check_past(told(marker_of(9, query="q2")))


def log_of_spark(folder: Path, name: str, *numbers: int) -> None:
    (folder / name).mkdir(parents=True)
    for number in numbers:
        (folder / name / str(number)).touch()


@pytest.fixture
def begun(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """Return a checkpoint of q1, whose micro-batches 0 and 1 are done."""
    kafka = checkpoint.check(KAFKA)
    begun_by_spark(folder, "q1")
    checkpoint.started(kafka, "q1")
    log_of_spark(folder, "commits", 0, 1)
    return checkpoint


def test_half_a_micro_batch_whose_markers_kafka_forgot_is_not_written_twice(
    begun: Checkpoint, folder: Path
) -> None:
    log_of_spark(folder, "offsets", 0, 1, 2)
    begun.check(KAFKA)
    with pytest.raises(ConfigError, match=r"micro-batch 2 may be half written.*retention.minutes"):
        begun.check_past(told(None))
    begun.check_past(told(marker_of(1)))
    for given in ("another", None):  # as the message says; it dies before a task has committed
        kafka = begun.check(KafkaSettings(stream_name=given))
        begun.check_past(told(None))
        begun.started(kafka, "q1")
    (folder / "commits" / "2").touch()
    (folder / "offsets" / "3").touch()
    begun.check(KAFKA)
    with pytest.raises(ConfigError, match="micro-batch 3 may be half written"):
        begun.check_past(told(None))


def test_markers_that_kafka_forgot_between_two_micro_batches_are_a_warning(
    begun: Checkpoint, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log_of_spark(folder, "offsets", 0, 1)
    begun.check(KAFKA)
    begun.check_past(told(None))
    assert "has done 2 micro-batches, and Kafka has no marker of them" in caplog.text


def test_without_a_micro_batch_that_is_done_there_need_be_no_marker(
    checkpoint: Checkpoint, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint.check(KAFKA)
    begun_by_spark(folder, "q1")
    log_of_spark(folder, "offsets", 0)
    checkpoint.check(KAFKA)
    checkpoint.check_past(told(None))
    assert not caplog.records


def test_a_checkpoint_that_begins_again_is_a_new_query_s_of_another_stream_and_the_same_account(
    begun: Checkpoint, folder: Path
) -> None:
    log_of_spark(folder, "offsets", 0, 1)
    (folder / "notes.txt").touch()
    begun.release()
    moved = folder.rename(folder.with_name("moved"))
    again = use(str(moved))
    kafka = again.begin_again(KAFKA)
    again.check_past(told(None))
    assert (moved / "metadata").exists(), "nothing is removed before the start is sure"
    again.clear(kafka)
    assert {each.name for each in moved.iterdir()} == {IDENTITY, "notes.txt", "reviewstream.lock"}
    begun_by_spark(moved, "q2")
    again.started(kafka, "q2")
    again.release()
    assert kafka.stream_name not in (None, str(folder), str(moved))
    next_time = use(str(moved))
    assert next_time.check(KAFKA).stream_name == kafka.stream_name
    next_time.release()
    assert account_of(str(moved)) == str(folder)


def test_a_checkpoint_begins_again_as_another_stream_each_time(checkpoint: Checkpoint) -> None:
    names = {checkpoint.begin_again(KAFKA).stream_name for _ in range(3)}
    assert len(names) == 3


def test_a_name_that_is_given_and_has_written_before_does_not_begin_again(
    begun: Checkpoint,
) -> None:
    named = begun.begin_again(KafkaSettings(stream_name="mine"))
    assert named.stream_name == "mine"
    with pytest.raises(ConfigError, match="has written to this topic under this stream's name"):
        begun.check_past(told(marker_of(0)))


def test_of_a_checkpoint_that_is_half_cleared_no_query_goes_on(
    begun: Checkpoint, folder: Path
) -> None:
    log_of_spark(folder, "offsets", 0, 1)
    (folder / "offsets" / "0").unlink()
    (folder / "offsets" / "1").unlink()
    with pytest.raises(ConfigError, match="comes too late"):
        begun.check_past(told(marker_of(1)))
    (folder / "metadata").unlink()
    with pytest.raises(ConfigError, match="its query is q1, not a new one"):
        begun.check(KAFKA)


def test_a_checkpoint_that_does_not_begin_again_is_not_cleared(
    begun: Checkpoint, folder: Path
) -> None:
    begun.clear(KAFKA)
    assert (folder / "metadata").exists()


def test_a_checkpoint_elsewhere_does_not_begin_again() -> None:
    elsewhere = use("s3a://bucket/checkpoint")
    with pytest.raises(ConfigError, match=r"set kafka\.stream_name to another name"):
        elsewhere.begin_again(KAFKA)
    elsewhere.clear(KAFKA)


def test_what_is_written_before_a_checkpoint_began_is_another_query_s(
    checkpoint: Checkpoint,
) -> None:
    checkpoint.check_past(told(None))
    with pytest.raises(ConfigError, match=r"another query .*this one \(a new one\) .*lost\?"):
        checkpoint.check_past(told(marker_of(0)))


def test_kafka_is_not_asked_about_the_past_of_a_checkpoint_elsewhere() -> None:
    def unasked() -> Marker:
        raise AssertionError

    use("s3a://bucket/checkpoint").check_past(unasked)


def test_a_name_of_a_start_that_failed_is_not_kept(checkpoint: Checkpoint, folder: Path) -> None:
    checkpoint.check(KafkaSettings(stream_name="taken"))
    assert checkpoint.check(KAFKA).stream_name == str(folder)


def test_a_start_that_fails_binds_a_checkpoint_to_nothing_that_it_tried(
    checkpoint: Checkpoint, folder: Path
) -> None:
    checkpoint.check(KAFKA)
    begun_by_spark(folder, "q1")
    checkpoint.started(KAFKA, "q1")
    checkpoint.release()
    before = (folder / IDENTITY).read_bytes()
    failing = use(str(folder))
    for name in ("oops", "again"):
        failing.check(KafkaSettings(stream_name=name))
    failing.release()
    failing.release()
    assert (folder / IDENTITY).read_bytes() == before
    again = use(str(folder))
    assert again.check(KAFKA).stream_name == str(folder)
    again.release()


def test_a_name_is_kept_of_a_start_that_was_killed_as_it_may_have_written(
    checkpoint: Checkpoint, folder: Path
) -> None:
    checkpoint.check(KAFKA)
    begun_by_spark(folder, "q1")
    checkpoint.started(KAFKA, "q1")
    checkpoint.check(KafkaSettings(stream_name="mine"))  # and killed
    assert checkpoint.check(KAFKA).stream_name == "mine"


def test_a_name_that_is_given_counts_and_is_kept(checkpoint: Checkpoint, folder: Path) -> None:
    begun_by_spark(folder, "q1")
    checkpoint.check(KAFKA)
    assert checkpoint.check(KafkaSettings(stream_name="mine")).stream_name == "mine"
    assert checkpoint.check(KAFKA).stream_name == "mine"


SPELLED = pytest.mark.parametrize(
    "spelled",
    [
        "{0}",
        "file://{0}",
        "file:///{0}",
        "file:{0}",
        "{0}/../checkpoint",
        "{0}/",
        "{1}",
        "file:{1}",
        "{1}/../deep/checkpoint",  # to Spark, the folder beside the link
        "file:{1}/.././deep//checkpoint",
    ],
)


@pytest.fixture
def link(folder: Path) -> Path:
    folder.mkdir(parents=True)
    link = folder.parent.with_name("link")
    link.symlink_to(folder)
    return link


@SPELLED
def test_a_new_checkpoint_has_one_name_and_one_account_however_it_is_spelled(
    folder: Path, link: Path, spelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = spelled.format(folder, link)
    assert account_of(where) == absolute(where) == str(folder)
    first = use(where)
    assert first.check(KAFKA).stream_name == str(folder)
    first.release()
    monkeypatch.chdir(folder.parent)
    relative = anchored("checkpoint")
    assert account_of("checkpoint") == absolute("checkpoint") == str(folder)
    monkeypatch.chdir("/")
    assert account_of(where) == absolute(where) == absolute(relative) == str(folder)


def test_spark_is_told_the_checkpoint_as_it_is_spelled_but_from_this_folder(
    link: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(link.parent)
    assert anchored("link") == str(link)
    for told in (str(link), f"file:{link}", f"file://{link}", "s3a://b/c", "dbfs:/c"):
        assert anchored(told) == told


@SPELLED
def test_an_identity_from_before_streams_were_in_it_gets_the_name_of_its_folder(
    folder: Path, link: Path, spelled: str
) -> None:
    begun_by_spark(folder, "q1")
    where = spelled.format(folder, link)
    checkpoint = use(where)
    checkpoint.check(KAFKA)
    recorded = read_identity((folder / IDENTITY).read_bytes(), "f")
    (folder / IDENTITY).write_text(identity_text(structs.replace(recorded, stream=None)))
    assert checkpoint.check(KAFKA).stream_name == str(folder)
    checkpoint.release()


@SPELLED
def test_a_checkpoint_is_the_same_however_it_is_spelled(
    folder: Path, link: Path, spelled: str
) -> None:
    begun_by_spark(folder, "q1")
    first = use(str(folder))
    first.check(KAFKA)
    with pytest.raises(ConfigError, match=IN_USE):
        use(spelled.format(folder, link))
    first.is_used = lambda: False  # its query has ended
    second = use(spelled.format(folder, link))
    assert second.check(KAFKA).stream_name == str(folder)
    second.release()


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/none"])
def test_a_folder_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be written \(.*spark.checkpoint"):
        use(str(tmp_path / where))


def test_an_identity_that_is_no_text_is_damaged(checkpoint: Checkpoint, folder: Path) -> None:
    (folder / IDENTITY).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is damaged"):
        checkpoint.check(KAFKA)


def test_another_id_in_sparks_own_file_is_refused(checkpoint: Checkpoint, folder: Path) -> None:
    begun_by_spark(folder, "q1")
    checkpoint.check(KAFKA)
    begun_by_spark(folder, "q2")
    with pytest.raises(ConfigError, match="its query is q1, not q2"):
        checkpoint.check(KAFKA)
    (folder / "metadata").unlink()
    with pytest.raises(ConfigError, match="its query is q1, not a new one"):
        checkpoint.check(KAFKA)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_damaged_file_of_sparks_is_named(checkpoint: Checkpoint, folder: Path, text: str) -> None:
    (folder / "metadata").write_text(text)
    with pytest.raises(ConfigError, match="metadata is damaged: start with a copy"):
        checkpoint.check(KAFKA)


def test_half_a_file_that_a_kill_left_is_not_looked_at(
    checkpoint: Checkpoint, folder: Path
) -> None:
    checkpoint.check(KAFKA)
    (folder / f".{IDENTITY}.new").write_text('{"vers')
    checkpoint.check(KAFKA)


def test_an_identity_is_the_old_or_the_new_one_whenever_it_is_looked_at(
    checkpoint: Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.check(KAFKA)
    before, seen = (folder / IDENTITY).read_bytes(), []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append((folder / IDENTITY).read_bytes()))
    checkpoint.check(KafkaSettings(labelled_topic="other"))
    assert seen == [before]  # the new one is on the disk before it takes the place
    assert (folder / IDENTITY).read_bytes() != before


def test_two_queries_of_one_process_do_not_share_a_checkpoint(
    checkpoint: Checkpoint, folder: Path
) -> None:
    with pytest.raises(ConfigError, match=IN_USE):
        use(str(folder))
    checkpoint.is_used = lambda: False  # its query has ended
    use(str(folder)).release()


def test_two_processes_do_not_share_a_checkpoint_and_a_killed_one_holds_none(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=IN_USE):
            use(str(folder))
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(60)
        use(str(folder)).release()


@pytest.mark.parametrize("scheme", ["file://", "file:"])
def test_a_file_url_is_the_folder_that_it_names(scheme: str, folder: Path) -> None:
    odd = folder.with_name("an odd%20name")
    first = use(f"{scheme}{odd}")
    first.started(KAFKA, "q1")
    with pytest.raises(ConfigError, match=IN_USE):
        use(str(odd))
    first.release()
    second = use(str(odd))
    with pytest.raises(ConfigError, match="its labelled_topic is"):
        second.check(KafkaSettings(labelled_topic="other"))
    second.release()


def test_of_a_checkpoint_on_another_machine_nothing_is_known() -> None:
    use("file://elsewhere/checkpoint").release()
    assert not Path("/checkpoint").exists()
    assert not Path("elsewhere").exists()


def test_of_a_checkpoint_behind_a_url_nothing_is_known() -> None:
    checkpoint = use("s3a://bucket/checkpoint")
    checkpoint.check(KAFKA)
    checkpoint.started(KAFKA, "q1")
    checkpoint.release()
    use("s3a://bucket/checkpoint").release()
