"""Makes each secret of docker-compose.yaml once, into the volumes that hold them; what is there is kept.

python make_secrets.py AIRFLOW_FOLDER DATABASE_FOLDER
"""

import base64
import os
import secrets
import sys
from pathlib import Path

DATABASE_URL = "postgresql+psycopg2://airflow:{password}@postgres:5432/airflow"


def once(path: Path, content: str, mode: int) -> str:
    """The content of ``path``, which is written whole or not at all, and never twice."""
    if not path.exists():
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(content)
        part.chmod(mode)
        part.rename(path)
    return path.read_text()


def main(airflow: Path, database: Path) -> None:
    # PostgreSQL reads its password as a user of its own, in a volume that nobody else mounts.
    password = once(database / "password", secrets.token_urlsafe(32), 0o644)
    # Airflow's user may be any, its group is 0 (the image's rule).
    once(airflow / "database_url", DATABASE_URL.format(password=password), 0o640)
    once(airflow / "fernet_key", base64.urlsafe_b64encode(os.urandom(32)).decode(), 0o640)
    once(airflow / "jwt_secret", secrets.token_urlsafe(48), 0o640)
    once(airflow / "session_key", secrets.token_urlsafe(48), 0o640)
    once(airflow / "admin_password", secrets.token_urlsafe(16), 0o640)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
