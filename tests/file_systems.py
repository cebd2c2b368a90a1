"""File systems in a file: root, mkfs.ext4 and a loop device are needed."""

import contextlib
import os
import shutil
import subprocess


def can_mount() -> bool:
    tools = all(map(shutil.which, ("mkfs.ext4", "mount", "umount", "losetup")))
    if not tools or os.geteuid() != 0:
        return False
    return subprocess.run(["losetup", "-f"], capture_output=True).returncode == 0


@contextlib.contextmanager
def mounted(image, folder):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        if subprocess.run(["umount", folder], capture_output=True).returncode:
            subprocess.run(["umount", "-l", folder], check=True)  # held a moment longer
