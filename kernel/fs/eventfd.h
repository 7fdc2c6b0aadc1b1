// SPDX-License-Identifier: MIT
// Eventfds as the kernel uses them.
#pragma once

#include "fs/file.h"

bool file_is_eventfd(const struct file *file);
void eventfd_signal(struct file *file); // adds 1, unless it is full. Any context
