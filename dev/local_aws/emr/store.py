"""The endpoint's memory on disk: one SQLite file, one JSON document a cluster."""

import sqlite3
import threading
from pathlib import Path

from local_aws.emr.cluster_data import Cluster, SecurityConfiguration

_SCHEMA = """
CREATE TABLE IF NOT EXISTS clusters (
  id TEXT PRIMARY KEY, region TEXT NOT NULL, created_at REAL NOT NULL, document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS security_configurations (
  region TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (region, name)
);
"""


class Store:
    """Safe for several threads: every call is one transaction, written to disk before it returns."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # With a write-ahead log a commit survives the death of the process, and is fast.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def save_cluster(self, cluster: Cluster) -> None:
        self._write(
            "INSERT OR REPLACE INTO clusters VALUES (?, ?, ?, ?)",
            (cluster.id, cluster.region, cluster.created_at, cluster.model_dump_json()),
        )

    def clusters(self) -> list[Cluster]:
        """Every cluster ever made, oldest first."""
        rows = self._read("SELECT document FROM clusters ORDER BY created_at, rowid")
        return [Cluster.model_validate_json(row) for row in rows]

    def save_security_configuration(self, configuration: SecurityConfiguration) -> None:
        self._write(
            "INSERT OR REPLACE INTO security_configurations VALUES (?, ?, ?)",
            (configuration.region, configuration.name, configuration.model_dump_json()),
        )

    def delete_security_configuration(self, region: str, name: str) -> None:
        self._write("DELETE FROM security_configurations WHERE region = ? AND name = ?", (region, name))

    def security_configurations(self, region: str) -> list[SecurityConfiguration]:
        """Those of one region, by name."""
        rows = self._read(
            "SELECT document FROM security_configurations WHERE region = ? ORDER BY name", (region,)
        )
        return [SecurityConfiguration.model_validate_json(row) for row in rows]

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with self._lock:
            self._connection.execute(statement, values)

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> list[str]:
        with self._lock:
            return [row[0] for row in self._connection.execute(statement, values)]
