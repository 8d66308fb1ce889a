#include "mpi_unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "ranks/model_files.h"

/* What this rank has opened, read and hashed: calls of these functions come here first (--wrap). */
static size_t opened, read_bytes, hashed;

enum err_code __real_file_map_open(struct file_map *map, const char *path, struct err *e);
enum err_code __wrap_file_map_open(struct file_map *map, const char *path, struct err *e);
enum err_code __wrap_file_map_open(struct file_map *map, const char *path, struct err *e)
{
    opened++;
    return __real_file_map_open(map, path, e);
}

enum err_code __real_file_in_read(void *bytes, const struct file_in *f, uint64_t offset, size_t length,
                                  struct err *e);
enum err_code __wrap_file_in_read(void *bytes, const struct file_in *f, uint64_t offset, size_t length,
                                  struct err *e);
enum err_code __wrap_file_in_read(void *bytes, const struct file_in *f, uint64_t offset, size_t length,
                                  struct err *e)
{
    read_bytes += length;
    return __real_file_in_read(bytes, f, offset, length, e);
}

void __real_file_hasher_add(struct file_hasher *h, const void *bytes, size_t length);
void __wrap_file_hasher_add(struct file_hasher *h, const void *bytes, size_t length);
void __wrap_file_hasher_add(struct file_hasher *h, const void *bytes, size_t length)
{
    hashed += length;
    __real_file_hasher_add(h, bytes, length);
}

static bool is_first_node(int per_node)
{
    return ranks.rank < per_node;
}

static const char *golden(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("GOLDEN"), name);
    return path;
}

static bool same_tensors(const struct store *a, const struct store *b)
{
    bool same = a->kind == b->kind && a->tensor_count == b->tensor_count && a->tensor_count > 0;
    for (size_t i = 0; same && i < a->tensor_count; i++) {
        const struct store_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        same = strcmp(x->name, y->name) == 0 && x->type == y->type && x->bytes == y->bytes &&
               memcmp(x->data, y->data, x->bytes) == 0;
    }
    return same;
}

static bool same_texts(const struct store *a, const struct store *b)
{
    bool same = a->text_count == b->text_count;
    for (size_t i = 0; same && i < a->text_count; i++) {
        const struct store_file *x = &a->texts[i], *y = store_text(b, x->name);
        same = y && x->map.size == y->map.size && memcmp(x->map.data, y->map.data, x->map.size) == 0;
    }
    return same;
}

static size_t text_bytes(const struct store *s)
{
    size_t bytes = 0;
    for (size_t i = 0; i < s->text_count; i++)
        bytes += s->texts[i].map.size;
    return bytes;
}

static size_t file_bytes(const struct store *s)
{
    size_t bytes = 0;
    for (size_t i = 0; i < s->file_count; i++)
        bytes += s->files[i].map.size;
    return bytes;
}

/* One rank of a node goes through the files' bytes; the others do not, where they have them from it or share
 * them. */
static void expect_one_hash(const struct model_files *m, struct store *s, struct dist *node)
{
    struct err e;
    const struct store_file *config = store_text(s, "config.json");
    size_t tensors = 0, stamps = 1000, all = file_bytes(s) + (config ? config->map.size : 0);
    for (size_t i = 0; i < s->tensor_count; i++)
        tensors += s->tensors[i].bytes;
    hashed = 0;
    expect(model_files_hash(m, s, &ranks, node, &e) == ERR_OK);
    bool takes = node->rank == 0;
    expect(hashed >= (takes ? tensors : 0) && hashed < (takes ? all : 0) + stamps);
}

/* A folder of rank 0's making that all ranks know the path of. */
static void make_folder(char path[64])
{
    struct err e;
    snprintf(path, 64, "/tmp/mpilora-test.XXXXXX");
    expect(ranks.rank > 0 || mkdtemp(path));
    expect(dist_broadcast(&ranks, path, 64, 0, &e) == ERR_OK);
}

/* In a folder of this test's, which holds nothing: no model is there. */
static char absent[80];

static void make_absent(void)
{
    char folder[64];
    make_folder(folder);
    snprintf(absent, sizeof absent, "%s/absent", folder);
    if (ranks.rank == 0)
        expect(rmdir(folder) == 0);
}

/* Opens `path` both ways, in the second with no such file on any but the first host: the same. */
static void open_both_ways(const char *path, int per_node)
{
    struct err e;
    struct dist node;
    struct model_files each = {0}, sent = {0};
    struct store near = {0}, far = {0};
    pretend(&node, per_node);
    make_absent();
    bool first = is_first_node(per_node);
    expect(model_files_open(&each, &near, &ranks, &node, path, false, &e) == ERR_OK);
    expect(!each.shared.memory && !each.own && !near.image);
    opened = read_bytes = 0;
    enum err_code code =
        model_files_open(&sent, &far, &ranks, &node, first ? path : absent, true, &e);
    expect(code == ERR_OK);
    if (code) {
        print_error("%s\n", e.message);
        return;
    }
    expect(!far.image == first);
    expect(same_tensors(&near, &far) && same_texts(&near, &far));
    expect(first ? opened > 0 : opened == 0);
    expect(read_bytes ==
           (ranks.rank == 0 && ranks.world > per_node ? text_bytes(&near) + file_bytes(&near) : 0));
    expect_one_hash(&each, &near, &node);
    expect_one_hash(&sent, &far, &node);
    expect(near.hash[0] && strcmp(near.hash, far.hash) == 0);
    struct store alone; /* by another way: a process by itself */
    expect(store_open(&alone, path, &e) == ERR_OK && store_hash(&alone, NULL, &e) == ERR_OK);
    expect(strcmp(alone.hash, far.hash) == 0);
    store_close(&alone);
    model_files_seal(&sent);
    expect(same_tensors(&near, &far));
    store_close(&far);
    store_close(&near);
    model_files_close(&sent);
    model_files_close(&each);
    dist_split_release(&node);
}

static void both_ways_are_the_same(void **state)
{
    (void)state;
    static const char *const models[] = {"tiny_tied", "tiny_sharded", "tiny_gguf/model.gguf"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        for (int per_node = 1; per_node <= 4; per_node++)
            open_both_ways(golden(models[i]), per_node);
    agree();
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t length)
{
    char path[128];
    struct err e;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (ranks.rank == 0)
        expect(file_write_atomic(path, bytes, length, &e) == ERR_OK);
    expect(dist_agree(&ranks, ERR_OK, &e) == ERR_OK);
}

static void remove_folder(const char *folder)
{
    char path[128];
    struct err e;
    static const char *const names[] = {"config.json", "model.safetensors"};
    expect(dist_agree(&ranks, ERR_OK, &e) == ERR_OK);
    for (size_t i = 0; ranks.rank == 0 && i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        expect(unlink(path) == 0);
    }
    expect(ranks.rank > 0 || rmdir(folder) == 0);
}

/* More than travels at a time, and no multiple of it. */
static void large_files_go_in_pieces(void **state)
{
    (void)state;
    const size_t elements = 5000001;
    char folder[64], header[200];
    struct str bytes = {0};
    struct err e;
    int length = snprintf(header, sizeof header,
                          "{\"a\":{\"dtype\":\"F32\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", elements,
                          4 * elements);
    make_folder(folder);
    if (ranks.rank == 0) {
        expect(str_append(&bytes, (const char *)&(uint64_t){(uint64_t)length}, 8, &e) == ERR_OK &&
               str_append(&bytes, header, (size_t)length, &e) == ERR_OK);
        for (uint32_t i = 0, x = 1; i < elements; i++, x = x * 1664525 + 1013904223)
            expect(str_append(&bytes, (const char *)&x, 4, &e) == ERR_OK);
    }
    write_file(folder, "config.json", "{}", 2);
    write_file(folder, "model.safetensors", bytes.data, bytes.length);
    open_both_ways(folder, 1);
    open_both_ways(folder, 2);
    remove_folder(folder);
    str_release(&bytes);
    agree();
}

/* What an owner forgets is gone for its node alone. */
static void forgotten_memory_goes_back(void **state)
{
    (void)state;
    char folder[64];
    struct err e;
    struct dist node;
    struct model_files m;
    struct store s;
    static char bytes[100000];
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[99900],\"data_offsets\":[0,99900]}}";
    const size_t data = 8 + sizeof header - 1;
    memset(bytes, 7, sizeof bytes);
    memcpy(bytes, &(uint64_t){sizeof header - 1}, 8);
    memcpy(bytes + 8, header, sizeof header - 1);
    make_folder(folder);
    write_file(folder, "config.json", "{}", 2);
    write_file(folder, "model.safetensors", bytes, data + 99900);
    pretend(&node, 2);
    expect(model_files_open(&m, &s, &ranks, &node, folder, true, &e) == ERR_OK);
    const unsigned char *first = s.files[0].map.data + data;
    const struct store_tensor all = {.data = first, .bytes = 99900};
    bool mine = node.rank == 0 && !is_first_node(2);
    expect((s.image && s.image->owned) == mine);
    expect(first[50000] == 7);
    expect(dist_agree(&ranks, ERR_OK, &e) == ERR_OK);
    store_forget(&s, &all); /* only an owner's has an effect on others */
    expect(dist_agree(&ranks, ERR_OK, &e) == ERR_OK);
    expect(first[50000] == (is_first_node(2) ? 7 : 0));
    expect(first[0] == 7 && first[99899] == 7); /* on pages that other bytes are on too */
    store_close(&s);
    model_files_close(&m);
    dist_split_release(&node);
    remove_folder(folder);
    agree();
}

/* One error for all, with the host and the way out. */
static void missing_files_are_one_error(void **state)
{
    (void)state;
    struct err e = {0};
    struct dist node;
    struct model_files m;
    struct store s = {0};
    pretend(&node, 1);
    make_absent();
    const char *near = golden("tiny_tied");
    expect(model_files_open(&m, &s, &ranks, &node, absent, true, &e) == ERR_IO);
    expect(strstr(e.message, absent) && (ranks.world == 1 || strstr(e.message, "rank 0 on ")) &&
           !s.path);
    if (ranks.world > 1) {
        const char *path = ranks.rank == 0 ? near : absent;
        expect(model_files_open(&m, &s, &ranks, &node, path, false, &e) == ERR_IO);
        expect(strstr(e.message, "rank 1 on ") && strstr(e.message, absent) &&
               strstr(e.message, "--load broadcast"));
    }
    dist_split_release(&node);
    agree();
}

/* Ranks of a node that have opened different files do not take one's hash for the other's. */
static void other_files_have_a_hash_of_their_own(void **state)
{
    (void)state;
    struct err e;
    struct dist node;
    struct model_files m;
    struct store s, alone;
    pretend(&node, 8);
    const char *path = golden(ranks.rank == 0 ? "tiny_tied" : "tiny_gqa");
    expect(model_files_open(&m, &s, &ranks, &node, path, false, &e) == ERR_OK);
    expect(model_files_hash(&m, &s, &ranks, &node, &e) == ERR_OK);
    expect(store_open(&alone, path, &e) == ERR_OK && store_hash(&alone, NULL, &e) == ERR_OK);
    expect(strcmp(alone.hash, s.hash) == 0);
    store_close(&alone);
    store_close(&s);
    model_files_close(&m);
    dist_split_release(&node);
    agree();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(both_ways_are_the_same),
    cmocka_unit_test(large_files_go_in_pieces),
    cmocka_unit_test(forgotten_memory_goes_back),
    cmocka_unit_test(missing_files_are_one_error),
    cmocka_unit_test(other_files_have_a_hash_of_their_own),
};
MPI_UNIT_MAIN(tests)
