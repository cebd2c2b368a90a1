"""Leftovers of killed processes are swept, work in progress never."""

import fcntl
import os
import time

import numpy as np

from infovae_jax.data import cache, leftovers

DEAD = 4194303  # above what Linux gives by default, and no process of a test


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_what_nobody_works_at_is_swept(tmp_path):
    for name in (f".p-{DEAD}-a", f".p-{os.getppid()}-b", f".p-{DEAD}-locked"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.npy").write_text("")
    (tmp_path / f"x.json.{DEAD}.tmp").write_text("")
    (tmp_path / "other").write_text("")
    handle = os.open(tmp_path / f".p-{DEAD}-locked", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        swept = leftovers.sweep(tmp_path, ".p-*")
    finally:
        os.close(handle)
    assert [path.name for path in swept] == [f".p-{DEAD}-a"]
    leftovers.sweep(tmp_path, "*.tmp")
    expected = {f".p-{DEAD}-locked", f".p-{os.getppid()}-b", "other"}
    assert set(names(tmp_path)) == expected


def test_names_without_a_number_are_swept_when_they_are_old(tmp_path):
    for name, age in (("old.json.tmp", 7200), ("new.json.tmp", 10)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    leftovers.sweep(tmp_path, "*.tmp")
    assert names(tmp_path) == ["new.json.tmp"]


def test_a_link_is_deleted_and_what_it_names_is_not(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "x.tmp").symlink_to(tmp_path / "kept")
    leftovers.sweep(tmp_path, "*.tmp")
    assert names(tmp_path) == ["kept"]


def test_a_killed_decode_is_swept_when_a_cache_is_opened(tmp_path):
    (tmp_path / f".partial-{DEAD}-0011").mkdir()
    seen = []

    def make():
        # While this process builds, its own folder is there and stays.
        def chunks():
            seen.append(leftovers.sweep(tmp_path, ".partial-*"))
            yield np.zeros((3, 2, 2, 1), np.uint8), None

        return {s: cache.Stream(3, chunks()) for s in cache.SPLITS}, {}

    cache.open_or_build(tmp_path / "it", make)
    assert seen == [[], []]
    assert names(tmp_path) == ["it"]
