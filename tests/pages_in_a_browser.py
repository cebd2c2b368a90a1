"""A page in a browser without a screen, by Chromium's devtools protocol over pipes."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Chromium reads the protocol at descriptor 3 and answers at 4.
START = 'exec "$0" "$@" 3<&{} 4>&{}'


class Page:
    """An open page.

    `troubles`: what its console was told, and errors that nobody caught.
    """

    def __init__(self, send, receive):
        self._send, self._receive = send, receive
        self._count, self._session, self._events = 0, None, []
        self._buffer, self.troubles = b"", []

    def ask(self, method, **params):
        """The answer to a command of the protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self._events.append(answer.get("method"))
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.troubles.append(json.dumps(answer["params"]))
            if answer.get("method") == "Runtime.consoleAPICalled":
                self.troubles.append(json.dumps(answer["params"]["args"]))

    def _next(self):
        end = time.monotonic() + 60
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], end - time.monotonic())
            assert ready, "the browser does not answer"
            self._buffer += os.read(self._receive, 1 << 20)
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def open(self, path, width, height, scheme):
        """Shows a file."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.ask("Emulation.setDeviceMetricsOverride", **size, mobile=width < 500)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[feature])
        self.ask("Page.navigate", url=path.as_uri())
        while "Page.loadEventFired" not in self._events:
            self.ask("Runtime.evaluate", expression="0")

    def run(self, body):
        """What the body of an async function returns."""
        found = self.ask(
            "Runtime.evaluate",
            expression=f"(async () => {{ {body} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def touch(self, kind, *places):
        """Fingers at places (x, y) of the window; 'touchEnd' has none."""
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
        self.ask("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def mouse(self, kind, x, y, **params):
        """The pointer of a mouse at (x, y) of the window."""
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **params)

    def press(self, key):
        """A key, by the name that it has in events; one sign types itself."""
        text = {"text": key} if len(key) == 1 else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, path, whole=False):
        """Writes a PNG of what is seen, or of the whole page."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def opened_page(path, width=1280, height=900, scheme="light"):
    """A file as `Page`, in a window of that size."""
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
    with contextlib.ExitStack() as held:
        profile = held.enter_context(
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        )
        process = subprocess.Popen(
            [
                *("bash", "-c", START.format(theirs_in, theirs_out), CHROMIUM),
                *("--headless", "--no-sandbox", "--disable-gpu"),
                *("--remote-debugging-pipe", f"--user-data-dir={profile}"),
            ],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        held.callback(process.wait)
        held.callback(process.terminate)
        for end in (theirs_in, theirs_out):
            os.close(end)
        held.callback(os.close, ours_in)
        held.callback(os.close, ours_out)
        page = Page(ours_out, ours_in)
        page.open(path.resolve(), width, height, scheme)
        yield page
