"""JupyterLab on loopback, on a copy of the notebook, and nothing outside the repository."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exploring.places import REPOSITORY, ExploringError
from local_aws import real_account
from local_run import preflight


@dataclass(frozen=True)
class Lab:
    """Where JupyterLab works."""

    state: Path = REPOSITORY / ".state"
    out: Path = REPOSITORY / "out"

    def check(self, port: int) -> None:
        """``ExploringError`` where the port cannot be used."""
        if problem := preflight.port_problem(port):
            raise ExploringError(problem)

    def notebook(self) -> Path:
        """The copy that is opened. It is made once: what was written in it stays until ``make clean``."""
        source, copy = REPOSITORY / "notebooks" / "explore.ipynb", self.out / "notebooks" / "explore.ipynb"
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        return copy

    def folders(self) -> dict[str, str]:
        """The variables that keep Jupyter and IPython out of the home folder."""
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        return {name: str(self.state / "jupyter" / name.lower()) for name in names}

    def account(self) -> dict[str, str]:
        """What leads AWS's clients to local AWS; nothing where it is not up."""
        exports = self.state / "aws.env"
        if not exports.exists():
            return {}
        words = (shlex.split(line) for line in exports.read_text(encoding="utf-8").splitlines())
        return dict(setting.split("=", 1) for _, setting in words)

    def command(self, port: int) -> list[str]:
        """How it is started. It has a token, which it draws itself and prints with its address."""
        return [
            *(sys.executable, "-m", "jupyterlab", str(self.notebook()), "--no-browser", "--allow-root"),
            # Ctrl-C is meant.
            "--ServerApp.answer_yes=True",
            f"--ServerApp.root_dir={self.out}",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            f"--FileCheckpoints.checkpoint_dir={self.state / 'jupyter' / 'checkpoints'}",
            # It asks nobody on the internet for news, for a newer version or for extensions.
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly",
            # To look for language servers it would ask npm, which writes to the home folder.
            "--LanguageServerManager.autodetect=False",
        ]

    def start(self, port: int) -> None:
        """Become JupyterLab."""
        account = self.account()
        if account:
            real_account.forget_it()
        # In place of this process: Ctrl-C reaches it alone, and ends its kernels.
        os.execve(sys.executable, self.command(port), self._environment(account))

    def _environment(self, account: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, **account, **self.folders()}
