"""Names, other than keywords, that a program in C cannot give to an object and its two files."""

import re

__all__ = ["reason_against"]

#: Lower-case macros: of the standard headers, and predefined ones of compilers' GNU dialects.
_MACROS = frozenset("""
    assert complex errno far fpclassify i386 imaginary isfinite isgreater isgreaterequal isless
    islessequal islessgreater isnormal isunordered kill_dependency linux math_errhandling mips
    near noreturn offsetof pascal pixel sigmask signbit sigsetjmp sparc stderr stdin stdout sun
    toascii isascii unix vector
""".split())

#: Headers of C and POSIX, which NAME.h would hide from the rest of the program.
_HEADERS = frozenset("""
    aio assert byteswap complex cpio ctype dirent dlfcn elf endian errno fcntl features fenv float
    fmtmsg fnmatch ftw getopt glob grp iconv ifaddrs inttypes iso646 langinfo libgen limits link
    locale malloc math memory monetary mqueue netdb nl_types obstack poll pthread pwd regex resolv
    sched search semaphore setjmp shadow signal spawn stdalign stdarg stdatomic stdbit stdbool
    stdckdint stddef stdint stdio stdlib stdnoreturn string strings stropts syscall sysexits syslog
    tar termios tgmath threads time trace uchar ucontext ulimit unistd utime utmpx values wait
    wchar wctype wordexp
""".split())

#: Functions of C's mathematics, each also with the suffixes f and l.
_MATHEMATICS = frozenset("""
    acos acosh asin asinh atan atan2 atanh cabs cacos cacosh carg casin casinh catan catanh cbrt
    ccos ccosh ceil cexp cimag clog conj copysign cos cosh cpow cproj creal csin csinh csqrt
    ctan ctanh erf erfc exp exp2 expm1 fabs fdim floor fma fmax fmin fmod frexp hypot ilogb
    ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint
    nextafter nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh
    tgamma trunc
""".split())

#: The other functions of C's library.
_FUNCTIONS = frozenset("""
    abort abs aligned_alloc asctime at_quick_exit atexit atof atoi atol atoll atomic_flag_clear
    atomic_flag_clear_explicit atomic_flag_test_and_set atomic_flag_test_and_set_explicit
    atomic_signal_fence atomic_thread_fence bsearch btowc c16rtomb c32rtomb call_once calloc
    clearerr clock cnd_broadcast cnd_destroy cnd_init cnd_signal cnd_timedwait cnd_wait ctime
    difftime div exit fclose feclearexcept fegetenv fegetexceptflag fegetround feholdexcept feof
    feraiseexcept ferror fesetenv fesetexceptflag fesetround fetestexcept feupdateenv fflush
    fgetc fgetpos fgets fgetwc fgetws fopen fprintf fputc fputs fputwc fputws fread free freopen
    fscanf fseek fsetpos ftell fwide fwprintf fwrite fwscanf getc getchar getenv gets getwc getwchar
    gmtime imaxabs imaxdiv isalnum isalpha isblank iscntrl isdigit isgraph islower isprint
    ispunct isspace isupper iswalnum iswalpha iswblank iswcntrl iswctype iswdigit iswgraph
    iswlower iswprint iswpunct iswspace iswupper iswxdigit isxdigit labs ldiv llabs lldiv
    localeconv localtime longjmp malloc mblen mbrlen mbrtoc16 mbrtoc32 mbrtowc mbsinit mbsrtowcs
    mbstowcs mbtowc memchr memcmp memcpy memmove memset mktime mtx_destroy mtx_init mtx_lock
    mtx_timedlock mtx_trylock mtx_unlock perror printf putc putchar puts putwc putwchar qsort
    quick_exit raise rand realloc remove rename rewind scanf setbuf setjmp setlocale setvbuf
    signal snprintf sprintf srand sscanf strcat strchr strcmp strcoll strcpy strcspn strerror
    strftime strlen strncat strncmp strncpy strpbrk strrchr strspn strstr strtod strtof
    strtoimax strtok strtol strtold strtoll strtoul strtoull strtoumax strxfrm swprintf swscanf
    system thrd_create thrd_current thrd_detach thrd_equal thrd_exit thrd_join thrd_sleep
    thrd_yield time timespec_get tmpfile tmpnam tolower toupper towctrans towlower towupper
    tss_create tss_delete tss_get tss_set ungetc ungetwc vfprintf vfscanf vfwprintf vfwscanf
    vprintf vscanf vsnprintf vsprintf vsscanf vswprintf vswscanf vwprintf vwscanf wcrtomb wcscat
    wcschr wcscmp wcscoll wcscpy wcscspn wcsftime wcslen wcsncat wcsncmp wcsncpy wcspbrk wcsrchr
    wcsrtombs wcsspn wcsstr wcstod wcstof wcstoimax wcstok wcstol wcstold wcstoll wcstombs
    wcstoul wcstoull wcstoumax wcsxfrm wctob wctomb wctrans wctype wmemchr wmemcmp wmemcpy
    wmemmove wmemset wprintf wscanf
""".split())

#: Functions and variables of POSIX, which the library of a hosted system calls itself.
_POSIX = frozenset("""
    accept access adjtime alarm alloca alphasort bcmp bcopy bind brk bzero cfgetispeed
    cfgetospeed cfmakeraw cfsetispeed cfsetospeed chdir chmod chown chroot clearenv
    clock_getcpuclockid clock_getres clock_gettime clock_nanosleep clock_settime close closedir
    closefrom confstr connect creat crypt ctermid daemon dirfd dlclose dlerror dlopen dlsym drem
    dup dup2 execle execlp execv execve execvp explicit_bzero faccessat fchdir fchmod fchmodat
    fchown fchownat fcntl fdatasync fdopen fdopendir fexecve ffs fileno finite flockfile
    fmemopen fork freeaddrinfo fseeko fstat fstatat fsync ftello ftruncate ftrylockfile
    funlockfile futimens futimes gai_strerror gamma getaddrinfo getcwd getdelim getdirentries
    getdomainname getdtablesize getegid getentropy geteuid getgid getgroups gethostid
    gethostname getitimer getline getloadavg getlogin getnameinfo getopt getpagesize getpass
    getpeername getpgid getpgrp getpid getppid getsid getsockname getsockopt getsubopt
    gettimeofday getuid getw getwd herror hstrerror htonl htons index initstate ioctl isatty
    isinf isnan j0 j1 jn kill killpg l64a lchmod lchown lcong48 link linkat listen lseek lstat
    lutimes madvise memccpy mincore mkdir mkdirat mkdtemp mkfifo mkfifoat mknod mknodat mkstemp
    mkstemps mktemp mlock mmap mprotect msync munlock munmap nanosleep nice ntohl ntohs on_exit
    open open_memstream openat opendir pause pclose pipe poll popen pread preadv pselect
    psiginfo putenv putw pwrite pwritev random read readdir readlink readlinkat readv
    reallocarray realpath recv recvfrom recvmsg renameat rewinddir rindex rmdir sbrk scalb
    scandir seed48 seekdir select send sendmsg sendto setbuffer setdomainname setegid setenv
    seteuid setgid sethostid sethostname setitimer setlogin setpgid setpgrp setregid setreuid
    setsid setsockopt setstate settimeofday setuid shutdown sigaction sigaddset sigaltstack
    sigdelset sigemptyset sigfillset siginterrupt sigismember significand sigpending sigprocmask
    sigqueue sigsetmask sigsuspend sigtimedwait sigwait sigwaitinfo sleep sockatmark socket
    socketpair srandom stat stpcpy stpncpy strcasecmp strdup strncasecmp strndup strnlen strsep
    symlink symlinkat sync tcdrain tcflow tcflush tcgetattr tcgetpgrp tcgetsid tcsendbreak
    tcsetattr tcsetpgrp telldir tempnam timegm truncate ttyname ttyslot tzset ualarm umask
    unlink unlinkat unsetenv usleep utimensat utimes valloc vfork vhangup wait wait3 wait4
    waitid waitpid write writev y0 y1 yn
    daylight environ optarg opterr optind optopt syscall timezone tzname
""".split())


def reason_against(name: str) -> str:
    """Return what else a program in C or C++ knows by a lower-case name; empty if nothing."""
    reasons = {
        "a macro of C": name in _MACROS or re.match("(atomic|va)_", name),
        "a header of C or POSIX": name in _HEADERS,
        "a function of C": (name in _FUNCTIONS or name in _MATHEMATICS or name == "main"
                            or name[-1:] in "fl" and name[:-1] in _MATHEMATICS),
        "a name of POSIX": name in _POSIX or re.match("(pthread|posix|sched|sem)_", name),
        "a type of C": name.endswith("_t"),
        "a namespace of C++": name == "std",
        "a name of the driver": name == "eie" or name.startswith("eie_"),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")
