// SPDX-License-Identifier: MIT
// Programs: execve(2), `#!`, ELF images.
#pragma once

#include "async/async.h"
#include "task/thread.h"

struct file;
struct space;

// What a loaded image needs to be started.
struct image {
    struct space *space;            // new, referenced
    va_t entry;                     // of the interpreter when there is one
    va_t program_entry, phdr, base; // auxv: AT_ENTRY, AT_PHDR, AT_BASE
    uint16_t phent, phnum;
    va_t brk; // end of the data, page aligned
    va_t stack_top;
    va_t vdso; // its ELF header
};

// Opens a file that the caller may execute; nobody can write it until exec_file_put. 0; -EACCES: no regular file, no
// permission, a noexec mount; -ETXTBSY: somebody writes it; or why it cannot be opened.
ASYNC_DECL(exec_file_open, const char *path; struct file **out;);
void exec_file_put(struct file *file);

// Loads an ELF file (and the interpreter it names) into a new space. 0; -ENOEXEC: not ELF for this
// machine, or damaged; -ELIBBAD: its interpreter is; -ENOENT, -EACCES, -EIO, -ENOMEM. On failure
// image->space is NULL.
ASYNC_DECL(elf_load, struct file *file; struct image *image;);

// Runs a program in the calling thread from kernel strings: process 1. argv and envp are NULL
// terminated. Returns like execve.
ASYNC_DECL(exec_kernel, const char *path; const char *const *argv; const char *const *envp;);
