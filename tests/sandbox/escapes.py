"""Ways out that programs try. Each sets `through`; the same text runs in the sandbox and without.

`F` is what the test gives: paths, process numbers and ports of things outside. `libc.syscall` is
there as `call`; numbers are those of x86_64.
"""

from __future__ import annotations

PREAMBLE = """
import ctypes, errno, json, os, signal, socket, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    if libc.syscall(ctypes.c_long(number), *given) >= 0:
        return 0
    return ctypes.get_errno()
through = False
"""

QUIET = {
    "read_passwd": "through = 'root' in open('/etc/passwd').read()",
    "read_a_secret": "through = 'SECRET' in open(F['secret']).read()",
    "read_by_dots": "through = 'SECRET' in open('../../../../../../..' + F['secret']).read()",
    "list_where_the_secret_lies": "through = bool(os.listdir(os.path.dirname(F['secret'])))",
    "know_that_a_file_exists": "through = os.stat(F['secret']).st_size > 0",
    "write_outside": "open(F['outside'] + '/new', 'w').write('x'); through = True",
    "write_into_its_own_python": (
        "open(os.path.join(os.path.dirname(os.__file__), 'planted.py'), 'w'); "
        "os.unlink(os.path.join(os.path.dirname(os.__file__), 'planted.py')); through = True"
    ),
    "write_at_the_top": "os.mkdir('/planted'); os.rmdir('/planted'); through = True",
    "symlink": "os.symlink(F['secret'], 'link'); through = 'SECRET' in open('link').read()",
    "symlink_left_behind": "os.symlink(F['secret'], 'left'); through = True",
    "hard_link": "open('a', 'w'); os.link('a', 'b'); through = True",
    "pipe_left_behind": "os.mkfifo('fifo'); through = True",
    "device_node": "os.mknod('disk', 0o60600, os.makedev(254, 0)); through = True",
    "setuid_bit": "open('s', 'w'); os.chmod('s', 0o4755); through = os.stat('s').st_mode & 0o4000",
    "setuid_when_opened": (
        "os.close(os.open('t', os.O_CREAT | os.O_WRONLY, 0o4755)); "
        "through = os.stat('t').st_mode & 0o4000"
    ),
    "tcp": "socket.create_connection(('127.0.0.1', F['tcp']), 2); through = True",
    "udp": (
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        "s.sendto(b'x', ('127.0.0.1', F['udp'])); through = True"
    ),
    "unix_socket_in_its_folder": "socket.socket(socket.AF_UNIX).connect('door'); through = True",
    "abstract_socket": (
        "socket.socket(socket.AF_UNIX).connect('\\0' + F['abstract']); through = True"
    ),
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); through = True",
    "listen": (
        "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
        "through = bool(s.getsockname()[1])"
    ),
    "proc": "through = 'SECRET' in open('/proc/%d/environ' % F['victim']).read()",
    "proc_at_all": "through = bool(os.listdir('/proc'))",
    "sys": "through = bool(os.listdir('/sys/class/net'))",
    "signal": "os.kill(F['victim'], 0); through = True",
    "signal_whoever": """
for number in range(3, 40000):
    try:
        os.kill(number, 0)
    except OSError:
        continue
    through = through or number != os.getpid()
""",
    "ptrace": "through = call(101, 0x4206, F['victim'], 0, 0) == 0",  # PTRACE_SEIZE
    "other_memory": """
there = ctypes.create_string_buffer(8)
class Piece(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]
mine = Piece(ctypes.addressof(there), 8)
theirs = Piece(F['address'], 8)
read = libc.process_vm_readv(F['victim'], ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
through = read == 8
""",
    "fork": """
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
through = True
""",
    "start_a_program": (
        "import subprocess; through = subprocess.run([sys.executable, '-c', '']).returncode == 0"
    ),
    "shell": "os.execv('/bin/sh', ['sh', '-c', 'echo THROUGH'])",
    "threads": """
gate = threading.Event()
running = []
try:
    for _ in range(100):
        thread = threading.Thread(target=gate.wait)
        thread.start()
        running.append(thread)
finally:
    gate.set()
    [thread.join() for thread in running]
through = len(running) > 64
""",
    "much_memory": "through = len(bytearray(1 << 30)) > 0",
    "memory_by_memfd": "os.memfd_create('x'); through = True",
    "memory_by_shm": "through = bool(open('/dev/shm/' + F['name'], 'w'))",
    "memory_by_sysv": """
libc.shmget.restype = ctypes.c_int
found = libc.shmget(0, 4096, 0o1600)
through = found >= 0
libc.shmctl(found, 0, None)
""",
    "semaphores_by_sysv": """
found = libc.semget(0, 1, 0o1600)
through = found >= 0
libc.semctl(found, 0, 0)
""",
    "queues_by_sysv": """
found = libc.msgget(0, 0o1600)
through = found >= 0
libc.msgctl(found, 0, None)
""",
    "lock_memory": "through = libc.mlockall(1) == 0",
    "beyond_the_size_limit": (
        "descriptor = os.open('big', os.O_CREAT | os.O_WRONLY); "
        "through = call(285, descriptor, 1, 0, 64 << 20) == 0"  # fallocate, KEEP_SIZE
    ),
    "namespaces": "through = call(272, 0x10000000) == 0",  # unshare(CLONE_NEWUSER)
    "namespace_of_another": (
        "through = call(308, os.open('/proc/self/ns/uts', os.O_RDONLY), 0) == 0"  # setns
    ),
    "keys": "through = call(250, 0, -3, 1) == 0",  # keyctl(KEYCTL_GET_KEYRING_ID)
    "io_uring": (
        "through = call(425, 1, ctypes.create_string_buffer(256)) == 0"  # io_uring_setup
    ),
    "bpf": """
numbers = b''.join(n.to_bytes(4, 'little') for n in (2, 4, 8, 1))  # an array of one element
wanted = ctypes.create_string_buffer(numbers + b'\\0' * 128, 144)
through = call(321, 0, wanted, 48) == 0
""",
    "change_personality": "through = call(135, 0x0040000) == 0",  # ADDR_NO_RANDOMIZE
    "more_open_files": """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))
through = len([os.dup(0) for _ in range(1000)]) == 1000
""",
    "environment": "through = 'SECRET' in json.dumps(dict(os.environ))",
    "descriptors": """
for descriptor in range(3, 1000):
    try:
        os.set_blocking(descriptor, False)
        through = through or b'SECRET' in os.pread(descriptor, 100, 0)
    except OSError:
        continue
""",
    "devices": "through = bool(set(os.listdir('/dev')) - {'null', 'zero', 'random', 'urandom'})",
    "mode_of_a_device": (
        "os.chmod('/dev/null', os.stat('/dev/null').st_mode & 0o777); through = True"
    ),
    "wait_on_every_terminal": "os.open('/dev/ptmx', os.O_RDWR); through = True",
    "name_of_the_machine": "through = os.uname().nodename == F['node']",
    "name_of_the_user": "through = os.getuid() == F['uid']",
    "become_root": """
import ctypes.util
through = False
for change in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0)):
    try:
        change()
        through = through or F['uid'] == 0
    except OSError:
        continue
""",
    "group_of_others": "os.setgroups([0]); through = True",
    "raise_its_own_priority": "os.nice(-5); through = True",
    "thirty_two_bit_calls": """
import mmap
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')  # getpid by int 0x80
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
through = ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0
""",
    "x32_calls": "through = call(0x40000000 + 39) not in (errno.ENOSYS,)",
}
"""By name. Run quietly: nothing outside is changed when one gets through, or it is put back."""

NEEDS_ROOT_OUTSIDE = {
    "device_node",
    "namespace_of_another",
    "bpf",
    "mode_of_a_device",
    "become_root",
    "group_of_others",
    "raise_its_own_priority",
    "write_at_the_top",
    "write_into_its_own_python",
}
"""Ways that are open to root only: their control needs root."""

NOT_EVERYWHERE = {"thirty_two_bit_calls", "x32_calls", "io_uring", "keys"}
"""Ways that some kernels do not have at all."""

CALLS = {
    "mount": (165, 0, 0, 0, 0, 0),
    "umount2": (166, 0, 0),
    "pivot_root": (155, 0, 0),
    "chroot": (161, 0),
    "swapon": (167, 0, 0),
    "swapoff": (168, 0),
    "sethostname": (170, 0, 70),
    "init_module": (175, 0, 0, 0),
    "delete_module": (176, 0, 0),
    "quotactl": (179, 0, 0, 0, 0),
    "acct": (163, 1),
    "settimeofday": (164, 1, 1),
    "reboot": (169, 1, 2, 3, 4),
    "iopl": (172, 4),
    "ioperm": (173, 70000, 1, 1),
    "syslog": (103, -1, 0, 0),
    "kexec_load": (246, 0, 99, 0, 0),
    "add_key": (248, 0, 0, 0, 0, 0),
    "request_key": (249, 0, 0, 0, 0),
    "move_pages": (279, -1, 0, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "fanotify_init": (300, -1, 0),
    "name_to_handle_at": (303, -1, 0, 0, 0, 0),
    "open_by_handle_at": (304, -1, 0, 0),
    "clock_adjtime": (305, 0, 0),
    "process_vm_writev": (311, 0, 0, 0, 0, 0, 9),
    "finit_module": (313, -1, 0, 0),
    "seccomp": (317, 99, 0, 0),
    "userfaultfd": (323, -1),
    "pkey_alloc": (330, 9, 9),
    "pidfd_open": (434, 0, 0),
    "pidfd_getfd": (438, -1, 0, 0),
    "open_tree": (428, -1, 0, -1),
    "move_mount": (429, -1, 0, -1, 0, -1),
    "fsopen": (430, 0, 0),
    "mount_setattr": (442, -1, 0, 0, 0, 0),
    "landlock_create_ruleset": (444, 0, 1, 0),
    "memfd_secret": (447, -1),
    "linkat": (265, -1, 0, -1, 0, 0),
    "symlinkat": (266, 0, -1, 0),
    "mknodat": (259, -1, 0, 0, 0),
    "bind": (49, -1, 0, 0),
    "connect": (42, -1, 0, 0),
    "accept": (43, -1, 0, 0),
    "vmsplice": (278, -1, 0, 0, 0),
    "setxattr": (188, 0, 0, 0, 0, 0),
    "setpriority": (141, -1, 0, 0),
    "sched_setscheduler": (144, -1, 0, 0),
    "timer_create": (222, -1, 0, 0),
    "mq_open": (240, 0, 0, 0, 0),
    "inotify_init1": (294, -1),
}
"""Dangerous calls with arguments that make each do nothing; the kernel must not look at them."""


def program(name: str, facts: str) -> str:
    """The text of one way out; prints THROUGH or what stood in its way."""
    body = "\n".join(f"    {line}" for line in QUIET[name].strip().splitlines())
    return (
        f"{PREAMBLE}F = json.loads({facts!r})\ntry:\n{body}\n"
        "except BaseException as error:\n    print(type(error).__name__, error)\n"
        "print('THROUGH' if through else 'HELD')\n"
    )


def calls_program() -> str:
    """Makes every call of `CALLS`; prints the error number of each as JSON."""
    return (
        f"{PREAMBLE}calls = {CALLS!r}\n"
        "print(json.dumps({name: call(*words) for name, words in calls.items()}))\n"
    )
