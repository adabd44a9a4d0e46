"""The runtimes that scripts/bench measures, behind the same verbs: start and stop a container, a pod of some, one more in it."""
import hashlib, io, json, os, signal, socket, struct, subprocess, sys, tarfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
NS = time.monotonic_ns


def run(*words, **more):
    """Runs a command that must succeed, and returns what it says."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        sys.exit(f"bench: {' '.join(words)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def wait_for(what, check, seconds=30):
    """Waits until check() gives something true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.001)
    sys.exit(f"bench: gave up waiting for {what}")


class Stamps:
    """What the workloads wrote: one line an event."""

    def __init__(self, directory):
        self.directory = directory

    def read(self, name, what):
        """The moments of an event, oldest first."""
        try:
            lines = open(f"{self.directory}/stamps").read().split("\n")[:-1]
        except FileNotFoundError:
            return []
        return [int(when) for who, event, when in map(str.split, lines) if who == name and event == what]

    def first(self, name, what="start"):
        return wait_for(f"{name} {what}", lambda: self.read(name, what))[0]

    def clear(self):
        for entry in os.listdir(self.directory):
            os.unlink(f"{self.directory}/{entry}")


def processes():
    """All processes of this machine: number → (parent, command line)."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
            found[int(pid)] = parent, open(f"/proc/{pid}/cmdline").read()
        except OSError:
            pass
    return found


class Oci:
    """crun and runc: an OCI bundle a container; what shares a pod names the namespaces of its first container."""

    SHARED = ("pid", "network", "ipc", "uts")

    def __init__(self, name, lab):
        self.name, self.lab, self.state = name, lab, f"{lab}/{name}"
        spec = f"{lab}/spec"
        os.makedirs(spec, exist_ok=True)
        if not os.path.exists(f"{spec}/config.json"):
            run("crun", "spec", cwd=spec)
        self.spec = json.load(open(f"{spec}/config.json"))

    def bundle(self, id, mode, beside=None):
        spec = json.loads(json.dumps(self.spec))
        spec["process"]["terminal"] = False
        spec["process"]["args"] = ["/bin/stamp", "/stamp/stamps", id, mode]
        spec["root"] = {"path": f"{self.lab}/rootfs", "readonly": True}
        spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] != "/sys/fs/cgroup"]
        spec["mounts"].append({"destination": "/stamp", "type": "bind", "source": f"{self.lab}/stamp.d", "options": ["bind", "rw"]})
        spec["linux"]["resources"] = {}
        spec["linux"]["cgroupsPath"] = f"/podling-bench/{self.name}-{id}"
        if beside:
            pid = open(f"{self.path(beside)}/pid").read()
            spec.pop("hostname")
            for namespace in spec["linux"]["namespaces"]:
                if (kind := namespace["type"]) in self.SHARED:
                    namespace["path"] = f"/proc/{pid}/ns/{'net' if kind == 'network' else kind}"
        os.makedirs(self.path(id), exist_ok=True)
        json.dump(spec, open(f"{self.path(id)}/config.json", "w"))
        return self.path(id)

    def path(self, id):
        return f"{self.lab}/bundles/{self.name}-{id}"

    def quietly(self, *words):
        """Its exit status. A container keeps the output that it was given, so it gets none that anybody reads."""
        return subprocess.run([self.name, "--root", self.state, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def start(self, id, mode="stay", beside=None):
        bundle = self.bundle(id, mode, beside)
        begin = NS()
        if self.quietly("run", "-d", "--pid-file", f"{bundle}/pid", "--bundle", bundle, id):
            sys.exit(f"bench: {self.name} does not start {id}: {self.name} run --bundle {bundle} {id}")
        return begin

    def stop(self, id):
        begin = NS()
        run(self.name, "--root", self.state, "kill", id, "TERM")
        while self.quietly("delete", id):
            pass
        return begin, NS()

    def start_pod(self, first, *more):
        begin = self.start(first)
        for id in more:
            self.start(id, beside=first)
        return begin

    def join(self, id, first):
        """One more in the pod of `first`."""
        return self.start(id, beside=first)

    def end_pod(self, *ids):
        for id in reversed(ids):
            self.stop(id)

    def clear(self, ids):
        for id in ids:
            run(self.name, "--root", self.state, "delete", "--force", id)

    def pids(self):
        """Its own processes; with -d none of them should stay."""
        return {pid for pid, (_, line) in processes().items() if self.state in line}


class Podman:
    """podman on its own storage, without a network, its containers' root a directory."""

    name = "podman"

    def __init__(self, lab):
        self.lab = lab
        self.base = ["podman", "--root", f"{lab}/podman", "--runroot", f"{lab}/podman-run", "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs"]
        # What holds for a pod's own container too, which takes no options. Some machines let nobody raise a limit of a process.
        settings = f"{lab}/containers.conf"
        open(settings, "w").write('[containers]\ncgroups = "disabled"\nlog_driver = "none"\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        os.environ["CONTAINERS_CONF"] = settings

    def run(self, id, mode, *options):
        begin = NS()
        run(*self.base, "run", "-d", "--name", id, *options, "--rootfs", f"{self.lab}/rootfs", "/bin/stamp", "/stamp/stamps", id, *mode.split())
        return begin

    def start(self, id, mode="stay", *options):
        return self.run(id, mode, "--network", "none", "-v", f"{self.lab}/stamp.d:/stamp", *options)

    def again(self):
        """A container that is started again when it ends."""
        self.start("again", "once /stamp/mark", "--restart", "always")

    def stop(self, id):
        begin = NS()
        run(*self.base, "stop", "-t", "5", id)
        end = NS()
        run(*self.base, "rm", "-f", id)
        return begin, end

    def start_pod(self, *ids):
        begin = NS()
        run(*self.base, "pod", "create", "--name", "pod", "--network", "none", "-v", f"{self.lab}/stamp.d:/stamp")
        for id in ids:
            self.join(id)
        return begin

    def join(self, id, _first=None):
        return self.run(id, "stay", "--pod", "pod")

    def end_pod(self, *_ids):
        self.clear()

    def clear(self, _ids=()):
        """Takes away all pods and containers."""
        run(*self.base, "pod", "rm", "-a", "-f", "-t", "0")
        run(*self.base, "rm", "-a", "-f", "-t", "0")

    def pids(self):
        """A conmon for each container."""
        return {pid for pid, (_, line) in processes().items() if "conmon\0" in line and f"{self.lab}/podman" in line}


class Podling:
    """One agent, ordered about over its console socket, as any client of it is."""

    name = "podling"
    CHAIN = 8

    def __init__(self, lab, programs):
        self.lab, self.daemon, self.tool = lab, programs["podlingd"], programs["podling"]
        self.agent = None
        self.pack()
        self.manifest = self.build(self.pods())

    def pack(self):
        """The root file system as a packed image, through an OCI layout of one layer."""
        layout, blobs = f"{self.lab}/layout", f"{self.lab}/layout/blobs/sha256"
        os.makedirs(blobs)

        def blob(data, kind):
            digest = hashlib.sha256(data).hexdigest()
            open(f"{blobs}/{digest}", "wb").write(data)
            return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(f"{self.lab}/rootfs", arcname=".")
        layer = blob(buffer.getvalue(), "layer.v1.tar")
        arch = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        config = {"architecture": arch, "os": "linux", "config": {"Entrypoint": ["/bin/stamp"]}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        manifest = {"schemaVersion": 2, "config": blob(json.dumps(config).encode(), "config.v1+json"), "layers": [layer]}
        index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
        json.dump(index, open(f"{layout}/index.json", "w"))
        json.dump({"imageLayoutVersion": "1.0.0"}, open(f"{layout}/oci-layout", "w"))
        run(self.tool, "pack", f"oci:{layout}", "--name", "localhost/bench:1", "--arch", arch, "-o", f"{self.lab}/images")

    def container(self, name, *words):
        return {"name": name, "image": "localhost/bench:1", "args": ["/stamp/stamps", name, *words], "volumeMounts": [{"name": "stamp", "mountPath": "/stamp"}]}

    def pod(self, name, containers, init=()):
        volumes = [{"name": "stamp", "hostPath": {"path": f"{self.lab}/stamp.d"}}]
        spec = {"initContainers": list(init), "containers": containers, "volumes": volumes}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}

    def pods(self):
        stay = lambda name: self.container(name, "stay")
        chain = [self.container(f"chain{n}", "exit") for n in range(self.CHAIN)]
        return [
            self.pod("one", [stay("one")]),
            self.pod("three", [stay(f"three{n}") for n in range(3)]),
            self.pod("chain", [stay("chain")], chain),
            self.pod("again", [self.container("again", "once", "/stamp/mark")]),
        ]

    def build(self, pods):
        source, out = f"{self.lab}/pods.yaml", f"{self.lab}/pods.manifest"
        open(source, "w").write("\n---\n".join(map(json.dumps, pods)))
        run(self.tool, "build", source, "--board", f"{ROOT}/boards/qemu-virt-aarch64/board.toml", "-o", out)
        return out

    def up(self, manifest=None):
        self.log = open(f"{self.lab}/podlingd.log", "a")
        words = [self.daemon, "run", manifest or self.manifest, f"{self.lab}/images"]
        self.agent = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.socket = f"/run/podling-run.{self.agent.pid}/run/console.sock"
        wait_for("the agent's console", lambda: os.path.exists(self.socket) or self.ended())

    def ended(self):
        if self.agent.poll() is not None:
            sys.exit(f"bench: the agent ended:\n{open(f'{self.lab}/podlingd.log').read()}")

    def down(self):
        if self.agent:
            self.agent.send_signal(signal.SIGTERM)
            self.agent.wait(60)
            self.agent = None

    def order(self, *words):
        """A command line of the board, on the socket."""
        begin = NS()
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(self.socket)
            argv = b"".join(word.encode() + b"\0" for word in words)
            console.sendall(struct.pack(">BH", 1, len(argv)) + argv)
            said, code = b"", None
            with console.makefile("rb") as frames:
                while code is None:
                    kind, length = struct.unpack(">BH", frames.read(3))
                    body = frames.read(length)
                    code, said = (body[0], said) if kind == 19 else (None, said + body)
        if code:
            sys.exit(f"bench: podlingd {' '.join(words)}: exit {code}\n{said.decode()}")
        return begin, NS()

    def start(self, id, mode="stay"):
        return self.order("restart", id)[0]

    def stop(self, id):
        return self.order("delete", "pod", id)

    def start_pod(self, *_ids):
        return self.start("three")

    def end_pod(self, *_ids):
        self.stop("three")

    def end_all(self):
        """Ends the pods that it started with: they are all started again when they are measured."""
        for id in ("one", "three", "chain", "again"):
            self.stop(id)

    def pids(self):
        """The agent and all pod-inits."""
        return {self.agent.pid} | {pid for pid, (parent, _) in processes().items() if parent == self.agent.pid}
