"""Tiny container images made on the spot: one static program, no registry, gone afterwards.

The program does what its arguments say, one after the other:

    out TEXT, err TEXT      write a line to standard output or error
    args, env               list the arguments, the environment
    id                      uid, gid, effective capabilities, no_new_privs, seccomp mode
    limits                  rlimits of processes and open files
    sleep SECONDS           sleep; ``sleep forever`` until a signal
    write PATH              write a file, and say whether that worked
    ignore                  ignore SIGTERM from here on
    flood BYTES             write that many bytes
    eat MEGABYTES           allocate and touch memory
    mount, mknod, raw       try what a workload must not be able to do
    kill NUMBER             send itself a signal
    exit CODE               exit
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import docker.errors

SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

extern char **environ;

static void said(const char *what, int failed) {
    printf("%s: %s\n", what, failed ? strerror(errno) : "done");
}

static void status(void) {
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    printf("uid %d gid %d\n", getuid(), getgid());
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "CapEff:", 7) || !strncmp(line, "CapBnd:", 7) || !strncmp(line, "NoNewPrivs:", 11)
            || !strncmp(line, "Seccomp:", 8)) fputs(line, stdout);
    if (file) fclose(file);
}

static void limits(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NPROC, &limit);
    printf("nproc %lld\n", (long long)limit.rlim_cur);
    getrlimit(RLIMIT_NOFILE, &limit);
    printf("nofile %lld\n", (long long)limit.rlim_cur);
}

static void flood(long long left) {
    static char line[1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (; left > 0; left -= sizeof line) fwrite(line, 1, sizeof line, stdout);
    fflush(stdout);
}

static void eat(long long megabytes) {
    for (long long n = 0; n < megabytes; n++) {
        char *part = malloc(1000000);
        if (!part) { printf("eat: no memory after %lld\n", n); fflush(stdout); exit(7); }
        memset(part, (int)n | 1, 1000000);
    }
    printf("ate %lld\n", megabytes);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int n = 1; n < argc; n++) {
        const char *verb = argv[n], *word = n + 1 < argc ? argv[n + 1] : "";
        if (!strcmp(verb, "out")) { printf("%s\n", word); n++; }
        else if (!strcmp(verb, "err")) { fprintf(stderr, "%s\n", word); n++; }
        else if (!strcmp(verb, "args")) { for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]); }
        else if (!strcmp(verb, "env")) { for (char **e = environ; *e; e++) printf("env %s\n", *e); }
        else if (!strcmp(verb, "id")) status();
        else if (!strcmp(verb, "limits")) limits();
        else if (!strcmp(verb, "sleep")) {
            n++;
            if (!strcmp(word, "forever")) for (;;) pause();
            usleep((useconds_t)(atof(word) * 1e6));
        }
        else if (!strcmp(verb, "write")) {
            FILE *file = fopen(word, "w");
            int failed = !file || fputs("x", file) < 0;
            said("write", failed);
            if (file) fclose(file);
            n++;
        }
        else if (!strcmp(verb, "ignore")) signal(SIGTERM, SIG_IGN);
        else if (!strcmp(verb, "flood")) { flood(atoll(word)); n++; }
        else if (!strcmp(verb, "eat")) { eat(atoll(word)); n++; }
        else if (!strcmp(verb, "mount")) said("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
        else if (!strcmp(verb, "mknod")) said("mknod", mknod("/tmp/dev", S_IFCHR | 0600, makedev(1, 1)));
        else if (!strcmp(verb, "raw")) said("raw", socket(AF_INET, SOCK_RAW, 1) < 0);
        else if (!strcmp(verb, "kill")) { raise(atoi(word)); n++; }
        else if (!strcmp(verb, "exit")) { fflush(stdout); exit(atoi(word)); }
        else fprintf(stderr, "unknown word %s\n", verb);
        fflush(stdout);
    }
    return 0;
}
"""


def build_program(directory: Path) -> Path:
    """Compile the static program once per ``directory`` and return its path."""
    program = directory / "probe"
    if not program.exists():
        compiler = shutil.which("gcc") or shutil.which("cc")
        assert compiler, "a C compiler is needed to make test images"
        source = directory / "probe.c"
        source.write_text(SOURCE)
        part = directory / f"probe.{uuid.uuid4().hex}"
        subprocess.run([compiler, "-static", "-O1", "-w", "-o", str(part), str(source)], check=True)
        part.replace(program)
    return program


def image_tar(program: Path) -> bytes:
    """Return a root file system with nothing but ``/probe``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("tmp", 0o1777), ("run", 0o755), ("etc", 0o755)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        info = tarfile.TarInfo("probe")
        info.size, info.mode = program.stat().st_size, 0o755
        with program.open("rb") as file:
            tar.addfile(info, file)
    return buffer.getvalue()


@contextmanager
def built_image(directory: Path, *changes: str) -> Iterator[str]:
    """Import an image whose entry point is the program; remove it, and what ran of it, at the end.

    Args:
        directory: Where the program is built, or was.
        changes: Further Dockerfile instructions, such as ``USER 1000``.
    """
    data = image_tar(build_program(directory))
    tag = f"swarmlet-test-{hashlib.sha256(data).hexdigest()[:8]}:{uuid.uuid4().hex[:12]}"
    client = docker.APIClient(version="auto", timeout=60)
    try:
        repository, _, name = tag.partition(":")
        wanted = ['ENTRYPOINT ["/probe"]', *changes]
        client.import_image_from_data(data, repository=repository, tag=name, changes=wanted)
        yield tag
    finally:
        _remove_image(client, tag)
        client.close()


def _remove_image(client: docker.APIClient, tag: str) -> None:
    """Remove an image and all that was made of it; one that is being made meanwhile costs another round."""
    for _ in range(5):
        for found in client.containers(all=True, filters={"ancestor": tag}):
            with suppress(docker.errors.NotFound):
                client.remove_container(found["Id"], force=True, v=True)
        try:
            client.remove_image(tag, force=True)
        except docker.errors.ImageNotFound:
            return
        except docker.errors.APIError:
            continue


@contextmanager
def no_containers_left(label: str) -> Iterator[None]:
    """Remove every container with ``label`` (``key=value``) at the end."""
    client = docker.APIClient(version="auto", timeout=60)
    try:
        yield
    finally:
        for found in client.containers(all=True, filters={"label": label}):
            client.remove_container(found["Id"], force=True, v=True)
        client.close()
