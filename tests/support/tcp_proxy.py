"""A proxy in front of a database: it cuts, holds up and refuses connections."""

import contextlib
import socket
import threading
import time


class TcpProxy:
    """Passes bytes on between clients and a server, in threads.

    Parameters
    ----------
    target
        Address of the server: a host and port, or the path of a socket.

    Attributes
    ----------
    port
        Where it listens.
    refuses
        Whether new connections are closed at once.
    stalls
        Whether bytes stay in the proxy, as where the network between the two is gone.
    delay
        Seconds by which bytes are late.
    """

    def __init__(self, target):
        self._target = target
        self.refuses = self.stalls = False
        self.delay = 0.0
        self._open = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self):
        """Close all connections and refuse new ones, until ``mend``."""
        self.refuses = True
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self):
        """Let everything through again."""
        self.refuses = self.stalls = False
        self.delay = 0.0

    def close(self):
        self.mend()
        self.cut()
        with contextlib.suppress(OSError):
            # Closing alone does not wake the thread that accepts.
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._connect, args=(client,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _connect(self, client):
        if self.refuses:
            client.close()
            return
        kind = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
        server = socket.socket(kind, socket.SOCK_STREAM)
        try:
            server.connect(self._target)
        except OSError:
            # The server is down.
            client.close()
            server.close()
            return
        with self._lock:
            self._open |= {client, server}
        back = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
        back.start()
        self._pass_on(client, server)
        back.join()
        with self._lock:
            self._open -= {client, server}
            client.close()
            server.close()

    def _pass_on(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay)
                while self.stalls:
                    time.sleep(0.01)
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def behind_proxy(url):
    """Return a proxy in front of a PostgreSQL server, and the URL of a database by it."""
    import sqlalchemy as sa

    parsed = sa.make_url(url)
    query = dict(parsed.query)
    folder = query.pop("host", None)
    port = query.pop("port", parsed.port or 5432)
    target = f"{folder}/.s.PGSQL.{port}" if folder else (parsed.host, int(port))
    proxy = TcpProxy(target)
    made = parsed.set(host="127.0.0.1", port=proxy.port, query=query)
    return proxy, made.render_as_string(hide_password=False)
