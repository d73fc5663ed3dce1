/**
 * @file count.c  A plugin for QEMU 7.2: how many instructions (packets on a Hexagon) ran before each watched function.
 *
 *     qemu-... -plugin count.so,watch=FILE,out=FILE
 *
 * `watch` has a line `<hexadecimal address> <name>` per function, by address; `out` gets a line `<name> <count>` each
 * time the instruction at such an address runs, in order. A conditional instruction whose condition fails counts.
 * Debian packages no header, so the few prototypes of the interface (version 1) stand here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated)(uint64_t plugin, struct qemu_plugin_tb *block);
typedef void (*executed)(unsigned cpu, void *data);
typedef void (*ended)(uint64_t plugin, void *data);
enum { ADD_U64 = 0, READS_NO_REGISTERS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t plugin, translated callback);
void qemu_plugin_register_atexit_cb(uint64_t plugin, ended callback, void *data);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int op, void *counter, uint64_t operand);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, executed callback, int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
EXPORT int qemu_plugin_install(uint64_t plugin, const void *info, int argc, char **argv);

EXPORT int qemu_plugin_version = 1;

struct watched {
    uint64_t address;
    char name[256];
};

/** A watched function in a translated block: the block is counted as it begins, `rest` of it has not run yet. */
struct entry {
    const char *name;
    uint64_t rest;
};

static struct watched *watched;
static size_t watched_count;
static uint64_t count;
static FILE *out;

static void on_entry(unsigned cpu, void *data)
{
    (void)cpu;
    const struct entry *const entry = data;
    fprintf(out, "%s %" PRIu64 "\n", entry->name, count - entry->rest);
}

static int by_address(const void *a, const void *b)
{
    const uint64_t x = ((const struct watched *)a)->address, y = ((const struct watched *)b)->address;
    return (x > y) - (x < y);
}

static void on_block(uint64_t plugin, struct qemu_plugin_tb *block)
{
    (void)plugin;
    const size_t n = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &count, n);
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *const insn = qemu_plugin_tb_get_insn(block, i);
        const struct watched key = {.address = qemu_plugin_insn_vaddr(insn)};
        const struct watched *const found = bsearch(&key, watched, watched_count, sizeof key, by_address);
        if (found != NULL) {
            struct entry *const entry = malloc(sizeof *entry); /* lives as long as the block: to the end */
            *entry = (struct entry){found->name, n - i};
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_entry, READS_NO_REGISTERS, entry);
        }
    }
}

static void on_end(uint64_t plugin, void *data)
{
    (void)plugin;
    (void)data;
    fclose(out);
}

static int read_watched(const char *path)
{
    FILE *const file = fopen(path, "r");
    if (file == NULL) {
        return -1;
    }
    struct watched next;
    while (fscanf(file, "%" SCNx64 " %255s", &next.address, next.name) == 2) {
        watched = realloc(watched, (watched_count + 1) * sizeof *watched);
        watched[watched_count++] = next;
    }
    fclose(file);
    return 0;
}

int qemu_plugin_install(uint64_t plugin, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "watch=", 6) == 0 && read_watched(argv[i] + 6) != 0) {
            return -1;
        }
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "w");
        }
    }
    if (out == NULL) {
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, on_block);
    qemu_plugin_register_atexit_cb(plugin, on_end, NULL);
    return 0;
}
