// SPDX-License-Identifier: MIT
// The controlling terminal as a program in the background and then in the foreground sees it.
//
// The harness makes every test a process group of its own, so this one starts in the background.
#include "abi.h"
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

static int tty;

static void test_background(void)
{
    int status;
    char c;
    struct termios t;

    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0); // the signal goes to the whole group
        _exit(read(tty, &c, 1) < 0 ? errno : 0);
    }
    waitpid(pid, &status, WUNTRACED);
    say_status("read from the background", status);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        _exit(tcgetattr(tty, &t) < 0 || tcsetattr(tty, TCSANOW, &t) < 0);
    }
    waitpid(pid, &status, WUNTRACED);
    say_status("tcsetattr from the background", status);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        int console = open("/dev/console", O_RDWR | O_NONBLOCK);
        _exit(read(console, &c, 1) < 0 ? errno : 0);
    }
    waitpid(pid, &status, WUNTRACED);
    say_status("read of /dev/console, which stops nobody", status);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        int console = open("/dev/console", O_RDWR);
        _exit(tcgetattr(console, &t) < 0 || tcsetattr(console, TCSANOW, &t) < 0);
    }
    waitpid(pid, &status, WUNTRACED);
    say_status("its settings are another matter", status);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    CHILD("read, SIGTTIN ignored", signal(SIGTTIN, SIG_IGN); VALUE("errno then", read(tty, &c, 1)));
}

static void test_foreground(void)
{
    struct termios before, raw, now;
    struct winsize size;
    int left = -1;
    char c;

    signal(SIGTTOU, SIG_IGN);
    pid_t owner = tcgetpgrp(tty);
    YES("somebody else is in the foreground", owner > 0 && owner != getpgrp());
    OK("tcsetpgrp", tcsetpgrp(tty, getpgrp()));
    YES("now we are", tcgetpgrp(tty) == getpgrp());
    VALUE("tcsetpgrp of nobody", tcsetpgrp(tty, 0x3fffffff));
    VALUE("tcsetpgrp negative", tcsetpgrp(tty, -1));
    YES("tcgetsid", tcgetsid(tty) == getsid(0));
    OK("tcgetattr", tcgetattr(tty, &before));
    say("local modes", "%s%s%s", before.c_lflag & ICANON ? "ICANON " : "",
        before.c_lflag & ECHO ? "ECHO " : "", before.c_lflag & ISIG ? "ISIG" : "");
    say("output modes", "%s%s", before.c_oflag & OPOST ? "OPOST " : "",
        before.c_oflag & ONLCR ? "ONLCR" : "");
    say("input modes", "%s", before.c_iflag & ICRNL ? "ICRNL" : "");
    say("characters", "%d %d %d %d", before.c_cc[VINTR], before.c_cc[VERASE], before.c_cc[VEOF],
        before.c_cc[VMIN]);
    raw = before;
    raw.c_lflag &= ~(ICANON | ECHO);
    raw.c_cc[VMIN] = raw.c_cc[VTIME] = 0;
    OK("raw", tcsetattr(tty, TCSAFLUSH, &raw));
    tcgetattr(tty, &now);
    YES("it holds", !(now.c_lflag & (ICANON | ECHO)) && now.c_cc[VMIN] == 0);
    VALUE("read nothing", read(tty, &c, 1));
    OK("FIONREAD", ioctl(tty, FIONREAD, &left));
    say("waiting", "%d", left);
    int again = open("/dev/tty", O_RDWR | O_NONBLOCK);
    raw.c_cc[VMIN] = 1;
    OK("VMIN 1", tcsetattr(tty, TCSANOW, &raw));
    VALUE("read without waiting", read(again, &c, 1));
    OK("back", tcsetattr(tty, TCSADRAIN, &before));
    OK("TIOCGWINSZ", ioctl(tty, TIOCGWINSZ, &size));
    struct winsize other = {33, 77, 0, 0}, seen;
    OK("TIOCSWINSZ", ioctl(tty, TIOCSWINSZ, &other));
    OK("TIOCGWINSZ again", ioctl(tty, TIOCGWINSZ, &seen));
    say("size", "%d %d", seen.ws_row, seen.ws_col);
    OK("size back", ioctl(tty, TIOCSWINSZ, &size));
    OK("tcflush", tcflush(tty, TCIFLUSH));
    OK("tcdrain", tcdrain(tty));
    VALUE("unknown ioctl", ioctl(tty, 0x5499, 0));
    VALUE("bad pointer", syscall(SYS_ioctl, tty, TCGETS, 0x10));
    VALUE("seek", lseek(tty, 0, SEEK_SET));
    OK("give it back", tcsetpgrp(tty, owner));
}

static void test_session(void)
{
    CHILD("a new session", {
        int fd;
        YES("setsid", setsid() == getpid());
        VALUE("has no terminal", open("/dev/tty", O_RDWR));
        VALUE("and cannot have that of another", (fd = dup(tty), ioctl(fd, TIOCSCTTY, 0)));
        VALUE("nor ask who is in the foreground", tcgetpgrp(tty));
    });
}

int main(void)
{
    struct stat st;

    OK("/dev/tty", tty = open("/dev/tty", O_RDWR));
    if (tty < 0)
        return 1;
    YES("isatty", isatty(tty));
    fstat(tty, &st);
    YES("a character device", S_ISCHR(st.st_mode));
    test_background();
    test_foreground();
    test_session();
    return 0;
}
