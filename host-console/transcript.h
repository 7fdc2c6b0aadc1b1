// SPDX-License-Identifier: MIT
// The lines of a transcript; see transcript.c.
#pragma once

// What stands behind a prompt, or behind that of a further line; NULL: no such line.
char *transcript_entered(char *line);
char *transcript_continued(char *line);
