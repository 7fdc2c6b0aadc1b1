// SPDX-License-Identifier: MIT
// io_uring as programs see it (linux/io_uring.h; io_uring_setup(2), io_uring_enter(2), io_uring_register(2)): layouts and numbers.
#pragma once

#include <stdint.h>

struct uring_sqe { // one submission
    uint8_t opcode, flags;
    uint16_t ioprio;
    int32_t fd;
    uint64_t off; // or addr2
    uint64_t addr;
    uint32_t len, rw_flags; // rw_flags: flags of whatever the operation is
    uint64_t user_data;
    uint16_t buf_index, personality;
    int32_t file_index;
    uint64_t addr3, pad;
};
_Static_assert(sizeof(struct uring_sqe) == 64, "as programs lay it out");

struct uring_cqe { // one completion
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};
_Static_assert(sizeof(struct uring_cqe) == 16, "as programs lay it out");

// The start of the ring's memory; the completions follow, then the array of indices of submissions. Programs find each part by
// the offsets that setup tells them.
struct uring_header {
    uint32_t sq_head, sq_tail, cq_head, cq_tail;
    uint32_t sq_mask, cq_mask, sq_entries, cq_entries;
    uint32_t sq_dropped, sq_flags, cq_flags, cq_overflow;
    uint32_t pad[4];
};
_Static_assert(sizeof(struct uring_header) == 64, "completions do not cross pages");

struct uring_sq_offsets {
    uint32_t head, tail, mask, entries, flags, dropped, array, resv;
    uint64_t user_addr;
};
struct uring_cq_offsets {
    uint32_t head, tail, mask, entries, overflow, cqes, flags, resv;
    uint64_t user_addr;
};
struct uring_params {
    uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, resv[3];
    struct uring_sq_offsets sq;
    struct uring_cq_offsets cq;
};
_Static_assert(sizeof(struct uring_params) == 120, "as programs lay it out");

struct uring_getevents { // the argument of enter with ENTER_EXT_ARG
    uint64_t sigmask;
    uint32_t sigmask_size, min_wait_us;
    uint64_t ts;
};

struct uring_probe_op {
    uint8_t op, resv;
    uint16_t flags;
    uint32_t resv2;
};
struct uring_probe {
    uint8_t last_op, ops_len;
    uint16_t resv;
    uint32_t resv2[3];
    struct uring_probe_op ops[];
};

struct uring_files_update {
    uint32_t offset, resv;
    uint64_t fds;
};

enum { // mmap
    URING_OFF_SQ_RING = 0,
    URING_OFF_CQ_RING = 0x8000000,
    URING_OFF_SQES = 0x10000000,
    URING_OFF_MASK = 0xf8000000,
};

enum { // setup
    SETUP_CQSIZE = 8,
    SETUP_CLAMP = 0x10,
    SETUP_R_DISABLED = 0x40,
    SETUP_SUBMIT_ALL = 0x80,
    SETUP_COOP_TASKRUN = 0x100,
    SETUP_TASKRUN_FLAG = 0x200,
    SETUP_SINGLE_ISSUER = 0x1000,
    SETUP_DEFER_TASKRUN = 0x2000,
    SETUP_NO_SQARRAY = 0x10000,
};
enum { // what it says of the kernel
    FEAT_SINGLE_MMAP = 1,
    FEAT_NODROP = 2,
    FEAT_RW_CUR_POS = 8,
    FEAT_FAST_POLL = 0x20,
    FEAT_POLL_32BITS = 0x40,
    FEAT_EXT_ARG = 0x100,
    FEAT_NATIVE_WORKERS = 0x200,
    FEAT_CQE_SKIP = 0x800,
    FEAT_LINKED_FILE = 0x1000,
};
enum { // enter
    ENTER_GETEVENTS = 1,
    ENTER_SQ_WAKEUP = 2,
    ENTER_SQ_WAIT = 4,
    ENTER_EXT_ARG = 8,
    ENTER_ABS_TIMER = 32,
};
enum { SQ_CQ_OVERFLOW = 2, CQ_EVENTFD_DISABLED = 1 }; // sq_flags, cq_flags

enum { // of a submission
    SQE_FIXED_FILE = 1,
    SQE_IO_DRAIN = 2,
    SQE_IO_LINK = 4,
    SQE_IO_HARDLINK = 8,
    SQE_ASYNC = 16,
    SQE_BUFFER_SELECT = 32,
    SQE_CQE_SKIP = 64,
};
enum { CQE_F_MORE = 2 }; // of a completion: others of the same submission follow

enum uring_opcode {
    OP_NOP,
    OP_READV,
    OP_WRITEV,
    OP_FSYNC,
    OP_READ_FIXED,
    OP_WRITE_FIXED,
    OP_POLL_ADD,
    OP_POLL_REMOVE,
    OP_SYNC_FILE_RANGE,
    OP_SENDMSG,
    OP_RECVMSG,
    OP_TIMEOUT,
    OP_TIMEOUT_REMOVE,
    OP_ACCEPT,
    OP_ASYNC_CANCEL,
    OP_LINK_TIMEOUT,
    OP_CONNECT,
    OP_FALLOCATE,
    OP_OPENAT,
    OP_CLOSE,
    OP_FILES_UPDATE,
    OP_STATX,
    OP_READ,
    OP_WRITE,
    OP_FADVISE,
    OP_MADVISE,
    OP_SEND,
    OP_RECV,
    OP_OPENAT2,
    OP_EPOLL_CTL,
    OP_SPLICE,
    OP_PROVIDE_BUFFERS,
    OP_REMOVE_BUFFERS,
    OP_TEE,
    OP_SHUTDOWN,
    OP_RENAMEAT,
    OP_UNLINKAT,
    OP_MKDIRAT,
    OP_SYMLINKAT,
    OP_LINKAT,
    OP_MSG_RING,
    OP_WAITID = 50,
    OP_FTRUNCATE = 55,
    OP_LAST = 58, // as of Linux 6.12
};

enum { NOP_INJECT_RESULT = 1 };
enum { FSYNC_DATASYNC = 1 };
enum { POLL_ADD_MULTI = 1, POLL_UPDATE_EVENTS = 2, POLL_UPDATE_USER_DATA = 4 };
enum {
    TIMEOUT_ABS = 1,
    TIMEOUT_UPDATE = 2,
    TIMEOUT_BOOTTIME = 4,
    TIMEOUT_REALTIME = 8,
    TIMEOUT_ETIME_SUCCESS = 32,
};
enum { CANCEL_ALL = 1, CANCEL_FD = 2, CANCEL_ANY = 4, CANCEL_FD_FIXED = 8, CANCEL_USERDATA = 16 };

enum { // register
    REGISTER_BUFFERS,
    UNREGISTER_BUFFERS,
    REGISTER_FILES,
    UNREGISTER_FILES,
    REGISTER_EVENTFD,
    UNREGISTER_EVENTFD,
    REGISTER_FILES_UPDATE,
    REGISTER_EVENTFD_ASYNC,
    REGISTER_PROBE,
    REGISTER_ENABLE_RINGS = 12,
};
enum { PROBE_SUPPORTED = 1, PROBE_MAX = 256 };
