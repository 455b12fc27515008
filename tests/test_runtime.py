"""What a process makes for itself when it starts."""

import asyncio
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from doable import runtime
from doable.core import post, redis
from doable.core.limits import Budget
from doable.core.mail import Mail
from doable.settings import Settings


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data")


def test_the_secret_is_made_once_and_is_its_owners_alone(bare: Settings) -> None:
    made = runtime.secret_key(bare)
    path = bare.data_dir / "secret_key"
    assert len(made) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [runtime.secret_key(bare) for _ in range(3)] == [made] * 3
    assert list(bare.data_dir.iterdir()) == [path]


def test_of_many_that_start_at_once_all_have_one_secret(bare: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: runtime.secret_key(bare), range(40)))) == 1


def test_a_start_that_was_cut_off_does_not_cost_the_secret(bare: Settings) -> None:
    made = runtime.secret_key(bare)
    for name in ("secret_key.1", "secret_key.abc"):  # a second name that was left behind
        (bare.data_dir / name).hardlink_to(bare.data_dir / "secret_key")
    assert runtime.secret_key(bare) == made


def test_a_secret_that_is_set_is_used_and_nothing_is_written(tmp_path: Path) -> None:
    key = "0123456789abcdef0123456789abcdef"
    assert runtime.secret_key(Settings(_env_file=None, data_dir=tmp_path / "no", secret_key=SecretStr(key))) == key
    assert not (tmp_path / "no").exists()


async def test_all_that_is_in_redis_says_whose_it_is(settings: Settings, redis_url: str) -> None:
    """Two installations may share it."""
    chosen = settings.model_copy(update={"redis_url": SecretStr(redis_url), "embedded_worker": False})
    client = redis.connect(redis_url)
    async with runtime.open_runtime(chosen) as opened:
        await opened.limiter.hit_shared("key", Budget(5, 60))
        async with opened.db.transaction() as tx:
            await post.write_to(tx, Mail("ana@example.com", "subject", "text"))
        async with asyncio.timeout(10):
            while len(keys := await client.keys()) < 2:  # noqa: ASYNC110 — Redis rings no bell here
                await asyncio.sleep(0.02)
        epoch = opened.epoch
    await client.aclose()
    assert sorted(keys) == [f"doable:{epoch}:{name}".encode() for name in ("limit:key", "queue:mail")]
