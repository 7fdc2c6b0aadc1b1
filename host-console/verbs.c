// SPDX-License-Identifier: MIT
// The table of verbs, and what is said about them: `kmon help`, the completion for bash.
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct verb *verb_find(const char *name)
{
    SET_FOREACH(verbs, struct verb, v)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct verb *const *)a)->name, (*(const struct verb *const *)b)->name);
}

void verb_each(void (*show)(const struct verb *verb, void *arg), void *arg)
{
    const struct verb *sorted[64];
    size_t n = 0;

    SET_FOREACH(verbs, struct verb, v)
        if (n < sizeof sorted / sizeof *sorted)
            sorted[n++] = v;
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 0; i < n; i++)
        show(sorted[i], arg);
}

static const char head[] =
    "usage: kmon qemu [OPTION ...] [VERB ...]           boots a machine, does VERB, powers it off\n"
    "       kmon connect unix:PATH|pty:DEVICE [VERB ...]  on a kernel that runs\n"
    "       kmon VERB ...                               on the line that another kmon shares\n"
    "       kmon --dump FILE eval|run|exec ...          on what `kmon dump -o FILE` kept, offline\n"
    "       kmon help [VERB]\n"
    "\n";

static const char tail[] =
    "\n"
    "machine  --smp N, --mem 512M, --kernel ELF, --initrd CPIO|none, --disk IMG|none, --append WORDS,\n"
    "         --qemu WORD (one more for QEMU), --icount (count instructions instead of time; one\n"
    "         hart unless --smp says more). Without --disk: build/disk.img, changes are not kept.\n"
    "any      --timeout SECONDS|none (60 for most), --verbose (kernel log on stderr),\n"
    "         --share PATH (others attach with `kmon connect unix:PATH`)\n"
    "\n"
    "exit   0 ok, 1 Lua error, 2 usage, 3 cannot connect, 4 timeout, 5 kernel panic, 6 protocol,\n"
    "       7 assertion failed, 130 interrupted; sh: the status of the command\n";

static void show_line(const struct verb *v, void *arg)
{
    char words[80];

    (void)arg;
    snprintf(words, sizeof words, "%s %s", v->name, v->args ? v->args : "");
    printf("  %-26s %s\n", words, v->help);
}

static void show_options(const struct verb *v)
{
    for (const struct verb_option *x = v->options; x && x->name; x++) {
        char words[80];
        snprintf(words, sizeof words, "%s%s%s", x->name, x->value ? " " : "",
                 x->value ? x->value : "");
        printf("      %-22s %s\n", words, x->help);
    }
}

void verb_usage(void)
{
    fputs(head, stdout);
    fputs("verbs\n", stdout);
    verb_each(show_line, NULL);
    fputs(tail, stdout);
}

static int run_help(struct console *c, const struct options *o)
{
    const struct verb *v = o->nargs ? verb_find(o->args[0]) : NULL;

    if (o->nargs && !v)
        console_fail(c, EXIT_USAGE, "\"%s\" is no verb (kmon help)", o->args[0]);
    if (!v) {
        verb_usage();
        return EXIT_OK;
    }
    show_line(v, NULL);
    show_options(v);
    return EXIT_OK;
}
VERB(help, .args = "[VERB]", .help = "what there is; of one verb, its options", .most = 1,
     .offline = true, .run = run_help);

// ---- bash

static void add_name(const struct verb *v, void *arg)
{
    fprintf(arg, " %s", v->name);
}

static void add_options(const struct verb *v, void *arg)
{
    FILE *f = arg;

    fprintf(f, "    %s) words=\"$common", v->name);
    for (const struct verb_option *x = v->options; x && x->name; x++)
        fprintf(f, " %s", x->name);
    fputs("\" ;;\n", f);
}

static int run_completion(struct console *c, const struct options *o)
{
    (void)c;
    (void)o;
    puts("# completion of kmon for bash: source <(kmon completion)\n"
         "_kmon() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= w words\n"
         "    local common='--timeout --verbose --share'");
    fputs(
        "    local machine='--smp --mem --kernel --initrd --disk --append --qemu --icount' verbs='",
        stdout);
    verb_each(add_name, stdout);
    puts(
        "'\n"
        "    case $prev in\n"
        "    --kernel|--initrd|--disk|--share|--dump|-o) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
        "    --smp) COMPREPLY=($(compgen -W '1 2 3 4 5 6 7 8' -- \"$cur\")); return ;;\n"
        "    --mem|--append|--qemu|--timeout|-n|--until) return ;;\n"
        "    lab) COMPREPLY=($(compgen -W 'start grade' -- \"$cur\")); return ;;\n"
        "    connect) COMPREPLY=($(compgen -W 'unix: pty:' -- \"$cur\")); return ;;\n"
        "    esac\n"
        "    for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
        "        case \" $verbs \" in *\" $w \"*) verb=$w; break ;; esac\n"
        "    done\n"
        "    case $verb in\n"
        "    '') words=\"$verbs $common\"\n"
        "        case ${COMP_WORDS[1]} in\n"
        "        qemu) words=\"$words $machine\" ;;\n"
        "        connect) ;;\n"
        "        *) words=\"qemu connect --dump $words\" ;;\n"
        "        esac ;;");
    verb_each(add_options, stdout);
    puts("    esac\n"
         "    if [[ $cur != -* && -n $verb ]]; then COMPREPLY=($(compgen -f -- \"$cur\"))\n"
         "    else COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); fi\n"
         "}\n"
         "complete -o filenames -F _kmon kmon");
    return EXIT_OK;
}
VERB(completion, .help = "the completion for bash: source <(kmon completion)", .offline = true,
     .run = run_completion);
