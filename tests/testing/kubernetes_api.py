"""As much of Kubernetes' API as kubectl asks for when hubkit drives it, on loopback. Jobs are held
to the published schema, and their pods are processes of this machine.

What it does with pods is written from the API's reference (batch/v1 Job: pod failure policy,
backoffLimit, activeDeadlineSeconds), not from a cluster.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[1] / "api" / "launch_schemas.json"
NAMESPACE, CLAIM, IMAGE = "vision", "releases", "registry/hubkit:train"
_RESOURCES = {
    "/api/v1": ("v1", [("pods", "Pod"), ("persistentvolumeclaims", "PersistentVolumeClaim")]),
    "/apis/batch/v1": ("batch/v1", [("jobs", "Job")]),
}


@dataclass
class Pod:
    """One attempt of a job. `disrupted`: its node was taken away."""

    name: str
    job: str
    process: subprocess.Popen[bytes]
    disrupted: bool = False

    def shown(self) -> dict[str, Any]:
        code = self.process.poll()
        status: dict[str, Any] = {"phase": "Running", "conditions": []}
        if code is not None:
            code = code if code >= 0 else 128 - code
            status["phase"] = "Failed" if code else "Succeeded"
            ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
            status["containerStatuses"] = [{"name": "hubkit", "state": {"terminated": ended}}]
        if self.disrupted:
            status["conditions"].append({"type": "DisruptionTarget", "status": "True"})
        metadata = {"name": self.name, "labels": {"job-name": self.job}}
        return {"metadata": metadata, "spec": {"nodeName": "node-1"}, "status": status}


@dataclass
class Cluster:
    """`config` is a kubeconfig."""

    config: Path
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, job: dict[str, Any], dry: bool) -> tuple[int, dict[str, Any]]:
        schema = json.loads(SCHEMAS.read_text("utf-8"))["Job"]
        errors = [error.message for error in Draft202012Validator(schema).iter_errors(job)]
        if not job["spec"]["template"]["spec"]["containers"][0]["image"]:
            errors.append("spec.template.spec.containers[0].image: Required value")
        if errors:
            return 422, _status(422, "Invalid", f'Job "x" is invalid: {errors[0]}')
        name = job["metadata"]["name"]
        if not dry:
            with self.lock:
                self.jobs[name] = {**job, "status": {}, "started": time.monotonic()}
                self._start(name)
        return 201, job

    def _start(self, name: str) -> None:
        pod = self.jobs[name]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        if container["image"] != IMAGE:
            return
        given = {one["name"]: one["value"] for one in container["env"]}
        given["HOME"] = str(self.config.parent)  # /tmp is this machine's
        path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
        process = subprocess.Popen(
            container["command"], env={"PATH": path, **given}, cwd="/", start_new_session=True
        )
        self.pods.append(Pod(f"{name}-{len(self.pods)}", name, process))

    def control(self) -> None:
        """What the job controller does: once."""
        with self.lock:
            for name, job in self.jobs.items():
                if not job["status"]:
                    self._control(name, job)

    def _control(self, name: str, job: dict[str, Any]) -> None:
        spec, own = job["spec"], [pod for pod in self.pods if pod.job == name]
        limit = spec.get("activeDeadlineSeconds")
        if limit is not None and time.monotonic() - job["started"] > limit:
            self.end(name)
            self._fail(job, "DeadlineExceeded", "Job was active longer than specified deadline")
        codes = [(pod, pod.process.poll()) for pod in own]
        if not codes or any(code is None for _, code in codes):
            return
        pod, code = codes[-1]
        final = spec["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
        failed = sum(not one.disrupted for one, _ in codes)
        if code == 0:
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        elif not pod.disrupted and code in final:
            told = f"Container hubkit for pod {pod.name} failed with exit code {code}"
            self._fail(job, "PodFailurePolicy", told)
        elif failed > spec["backoffLimit"]:
            self._fail(job, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        else:
            self._start(name)

    def _fail(self, job: dict[str, Any], reason: str, message: str) -> None:
        condition = {"type": "Failed", "status": "True", "reason": reason, "message": message}
        job["status"] = {"conditions": [condition]}

    def preempt(self, name: str) -> None:
        """Takes the node of the job's pod away."""
        with self.lock:
            pod = [one for one in self.pods if one.job == name][-1]
            pod.disrupted = True
        os.killpg(pod.process.pid, signal.SIGTERM)
        pod.process.wait(30)

    def end(self, name: str) -> None:
        for pod in self.pods:
            if pod.job == name and pod.process.poll() is None:
                os.killpg(pod.process.pid, signal.SIGTERM)

    def delete(self, name: str) -> tuple[int, dict[str, Any]]:
        with self.lock:
            if self.jobs.pop(name, None) is None:
                return 404, _not_found("jobs.batch", name)
            self.end(name)
        return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def shown_pods(self, selector: str) -> list[dict[str, Any]]:
        with self.lock:
            gone = [one for one in self.pods if one.job not in self.jobs]
            self.pods = [one for one in self.pods if one not in gone or one.process.poll() is None]
            wanted = selector.removeprefix("job-name=")
            found = [pod.shown() for pod in self.pods if pod.job == wanted]
            job = self.jobs.get(wanted)
        if job and not found:
            image = job["spec"]["template"]["spec"]["containers"][0]["image"]
            waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
            containers = [{"name": "hubkit", "state": {"waiting": waiting}}]
            status = {"phase": "Pending", "containerStatuses": containers}
            found = [{"metadata": {"name": wanted}, "spec": {}, "status": status}]
        return found


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        found = _discovered(address.path)
        if found is not None:
            return self._answer(200, found)
        self.cluster.control()
        self._answer(*self._read(address.path, parse_qs(address.query)))

    def _read(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, dict[str, Any]]:
        match path.strip("/").split("/"):
            case [*_, "namespaces", ns, _] | [*_, "namespaces", ns, _, _] if ns != NAMESPACE:
                return 403, _status(403, "Forbidden", f'jobs.batch is forbidden in "{ns}"')
            case [*_, "namespaces", name]:  # kubectl asks when it has found nothing in one
                return 200, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}
            case [*_, "persistentvolumeclaims", name]:
                if name != CLAIM:
                    return 404, _not_found("persistentvolumeclaims", name)
                kind = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
                return 200, {**kind, "metadata": {"name": name}}
            case [*_, "pods"]:
                items = self.cluster.shown_pods(query.get("labelSelector", [""])[0])
                each = [{"kind": "Pod", "apiVersion": "v1", **one} for one in items]
                return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": each}
            case [*_, "jobs", name]:
                if name not in self.cluster.jobs:
                    return 404, _not_found("jobs.batch", name)
                shown = {k: v for k, v in self.cluster.jobs[name].items() if k != "started"}
                return 200, shown
        return 404, _status(404, "NotFound", "the server could not find the requested resource")

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        dry = "dryRun" in parse_qs(address.query)
        self._answer(*self.cluster.create(job, dry))

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(*self.cluster.delete(urlsplit(self.path).path.rpartition("/")[2]))

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None: ...


def _discovered(path: str) -> dict[str, Any] | None:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        version = {"groupVersion": "batch/v1", "version": "v1"}
        group = {"name": "batch", "versions": [version], "preferredVersion": version}
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}
    if path in _RESOURCES:
        version_of, kinds = _RESOURCES[path]
        verbs = ["create", "delete", "get", "list"]
        listed = [
            {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind}
            | {"verbs": verbs}
            for name, kind in kinds
        ]
        return {"kind": "APIResourceList", "groupVersion": version_of, "resources": listed}
    return None


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    head = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return {**head, "reason": reason, "code": code, "message": message}


def _not_found(what: str, name: str) -> dict[str, Any]:
    kind, _, group = what.partition(".")
    details = {"name": name, "kind": kind, "group": group}
    return {**_status(404, "NotFound", f'{what} "{name}" not found'), "details": details}


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """kubectl finds it by KUBECONFIG; its discovery cache goes below HOME."""
    made = Cluster(folder / "config")
    handler = type("Handler", (_Handler,), {"cluster": made})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        where = {"server": f"http://127.0.0.1:{server.server_port}"}
        context = {"cluster": "here", "user": "me", "namespace": NAMESPACE}
        made.config.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{"name": "here", "cluster": where}],
                    "contexts": [{"name": "here", "context": context}],
                    "users": [{"name": "me", "user": {}}],
                }
            ),
            "utf-8",
        )
        try:
            yield made
        finally:
            for pod in made.pods:
                if pod.process.poll() is None:
                    os.killpg(pod.process.pid, signal.SIGKILL)
                    pod.process.wait()
            server.shutdown()
