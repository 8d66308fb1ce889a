#include "io_files.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "gguf_build.h"
#include "io/store/store.h"

/* The tests of opening run twice: on disk, and on an image of the same files while they are not on disk. */
static bool from_memory;
static struct store_file image_files[16];
static struct store_image image = {.files = image_files};

static void image_clear(void)
{
    for (; image.count > 0; image.count--) {
        struct store_file *f = &image_files[image.count - 1];
        free((void *)(uintptr_t)f->name);
        free((void *)(uintptr_t)f->map.data);
    }
}

static void image_add(const char *path)
{
    struct str bytes = {0};
    struct store_file *f = &image_files[image.count++];
    assert_in_range(image.count, 1, sizeof image_files / sizeof *image_files);
    test_file_read(&bytes, path);
    *f = (struct store_file){.name = strdup(strrchr(path, '/') + 1), .map.size = bytes.length};
    unsigned char *copy =
        bytes.length ? malloc(bytes.length) : NULL; /* of just that size, for the sanitizer */
    if (copy)
        memcpy(copy, bytes.data, bytes.length);
    f->map.data = copy;
    str_release(&bytes);
}

static void image_make(const char *path)
{
    image_clear();
    image.is_folder = file_is_folder(path);
    if (!image.is_folder && file_exists(path))
        image_add(path);
    DIR *folder = image.is_folder ? opendir(path) : NULL;
    for (const struct dirent *d; folder && (d = readdir(folder));) {
        char file[600];
        snprintf(file, sizeof file, "%s/%s", path, d->d_name);
        if (d->d_name[0] != '.')
            image_add(file);
    }
    if (folder)
        closedir(folder);
}

static enum err_code open_model(struct store *s, const char *given, struct err *e)
{
    char path[600], away[608];
    if (!from_memory)
        return store_open(s, given, e);
    snprintf(path, sizeof path, "%s", given);
    while (str_ends_with(path, "/"))
        path[strlen(path) - 1] = '\0';
    snprintf(away, sizeof away, "%s.away", path);
    image_make(path);
    bool there = rename(path, away) == 0;
    assert_false(file_exists(path));
    enum err_code code = store_open_image(s, given, &image, e);
    if (there)
        assert_int_equal(rename(away, path), 0);
    return code;
}

static void write_text(const char *name, const char *text)
{
    test_file_write(test_path(name), text, strlen(text));
}

/* Writes a safetensors file whose data are the bytes 0, 1, 2, ... */
static void write_safetensors(const char *name, const char *header, size_t data_bytes)
{
    struct str s = {0};
    put_u64(&s, strlen(header));
    put(&s, header, strlen(header));
    for (size_t i = 0; i < data_bytes; i++)
        put(&s, &(unsigned char){(unsigned char)i}, 1);
    test_file_write(test_path(name), s.data, s.length);
    str_release(&s);
}

static void refuse(const char *name, enum err_code code, const char *message)
{
    struct store s;
    struct err e;
    assert_error(open_model(&s, test_path(name), &e), &e, code, message);
    assert_non_null(strstr(e.message, test_path(name)));
    store_close(&s);
}

static void make_folder(const char *name)
{
    struct err e;
    char path[600];
    assert_ok(file_make_folders(test_path(name), &e), &e);
    snprintf(path, sizeof path, "%s/config.json", name);
    write_text(path, "{\"model_type\": \"llama\"}");
}

#define F16_A "\"a\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]}"

static void test_folder(void **state)
{
    (void)state;
    struct store s;
    struct err e;
    const struct store_tensor *t;
    make_folder("one");
    write_text("one/generation_config.json", "{\"eos_token_id\": 2}");
    write_text("one/chat_template.jinja", "{}");
    write_safetensors("one/model.safetensors",
                      "{\"pos\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[12,28]}," F16_A
                      ",\"deep\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[28,32]}}",
                      32);
    assert_ok(open_model(&s, test_path("one//"), &e), &e);
    assert_true(s.kind == STORE_HF && s.tensor_count == 1 && s.unread_count == 2 && s.file_count == 1);
    assert_string_equal(s.path, test_path("one"));
    assert_non_null(s.config);
    assert_int_equal(json_int(json_get(json_root(s.generation_config), "eos_token_id"), 0), 2);
    assert_null(s.tokenizer_config);
    assert_int_equal(s.text_count, 3);
    assert_null(store_text(&s, "tokenizer_config.json"));
    assert_null(store_text(&s, "model.safetensors"));
    const struct store_file *jinja = store_text(&s, "chat_template.jinja");
    assert_true(jinja && jinja->map.size == 2 && memcmp(jinja->map.data, "{}", 2) == 0);
    assert_string_equal(jinja->path, test_path("one/chat_template.jinja"));
    assert_ok(store_require(&t, &s, "a", &e), &e);
    assert_true(t->type == DTYPE_F16 && t->dims == 2 && t->shape[0] == 2 && t->shape[1] == 3 &&
                t->bytes == 12);
    assert_int_equal(((const unsigned char *)t->data)[11], 11);
    assert_ptr_equal(store_find(&s, "a"), t);
    assert_null(store_find(&s, "pos"));
    assert_error(store_require(&t, &s, "pos", &e), &e, ERR_UNSUPPORTED, "type I64");
    assert_error(store_require(&t, &s, "deep", &e), &e, ERR_UNSUPPORTED, "dimensions");
    assert_error(store_require(&t, &s, "lm_head", &e), &e, ERR_FORMAT, "lm_head");
    store_close(&s);
    store_close(&s);
}

static void test_misaligned_data_are_moved(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} ",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  ",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}   ",
    };
    make_folder("odd");
    for (int i = 0; i < 4; i++) {
        struct store s;
        struct err e;
        write_safetensors("odd/model.safetensors", headers[i], 4);
        assert_ok(open_model(&s, test_path("odd"), &e), &e);
        assert_int_equal((uintptr_t)s.tensors[0].data % 4, 0);
        assert_memory_equal(s.tensors[0].data, "\0\1\2\3", 4);
        store_close(&s);
    }
}

static void test_shards(void **state)
{
    (void)state;
    static const char index[] = "{\"metadata\":{\"total_size\":14},\"weight_map\":{\"a\":\"m-1.safetensors\","
                                "\"b\":\"m-2.safetensors\"}}";
    struct store s;
    struct err e;
    make_folder("many");
    write_text("many/model.safetensors.index.json", index);
    write_safetensors("many/m-1.safetensors", "{" F16_A "}", 12);
    refuse("many", ERR_FORMAT, "m-2.safetensors, which is missing");
    write_safetensors("many/m-2.safetensors",
                      "{\"b\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2);
    assert_ok(open_model(&s, test_path("many"), &e), &e);
    assert_true(s.tensor_count == 2 && s.file_count == 2);
    assert_non_null(strstr(store_find(&s, "b")->file, "many/m-2.safetensors"));
    store_close(&s);
    write_safetensors("many/m-2.safetensors", "{" F16_A "}", 12);
    refuse("many", ERR_FORMAT, "tensor a is there twice");
    write_safetensors("many/m-2.safetensors",
                      "{\"c\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2);
    refuse("many", ERR_FORMAT, "names tensor b in m-2.safetensors");
    write_text("many/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}");
    refuse("many", ERR_FORMAT, "in the same folder");
    write_text("many/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"one/m-1.safetensors\"}}");
    refuse("many", ERR_FORMAT, "in the same folder");
    write_text("many/model.safetensors.index.json", "{\"weight_map\":{\"a\":7}}");
    refuse("many", ERR_FORMAT, "tensor a");
    write_text("many/model.safetensors.index.json", "{\"weight_map\":{}}");
    refuse("many", ERR_FORMAT, "weight_map");
    write_text("many/model.safetensors.index.json", "[1]");
    refuse("many", ERR_FORMAT, "weight_map");
}

static void test_folders_that_are_no_model(void **state)
{
    (void)state;
    struct store s;
    struct err e;
    assert_ok(file_make_folders(test_path("bare"), &e), &e);
    refuse("bare", ERR_FORMAT, "config.json");
    refuse("absent", ERR_IO, "absent");
    make_folder("bare");
    refuse("bare", ERR_FORMAT, "neither model.safetensors nor");
    write_text("bare/pytorch_model.bin", "PK");
    refuse("bare", ERR_UNSUPPORTED, "pickled");
    write_text("bare/config.json", "[]");
    refuse("bare", ERR_FORMAT, "JSON object");
    write_text("bare/config.json", "{\"a\":1,}");
    refuse("bare", ERR_FORMAT, "line 1");
    assert_int_equal(symlink("nowhere", test_path("bare/tokenizer_config.json")), 0);
    assert_error(store_open(&s, test_path("bare"), &e), &e, ERR_IO,
                 "tokenizer_config.json is a link to a file that is not there");
    store_close(&s);
    assert_int_equal(unlink(test_path("bare/tokenizer_config.json")), 0);
    write_safetensors("x.any", "{}", 0);
    refuse("x.any", ERR_USAGE, "give the model's folder");
    write_text("x.safetensors", "12345678");
    refuse("x.safetensors", ERR_FORMAT, "this is text");
    write_text("x.txt", "hello");
    refuse("x.txt", ERR_FORMAT, "neither");
    write_text("empty", "");
    refuse("empty", ERR_FORMAT, "neither");
    make_folder("size");
    write_safetensors("size/model.safetensors",
                      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,12]}}", 12);
    refuse("size", ERR_FORMAT, "tensor a has 12 bytes");
}

/* One tensor more than `second` says; its data begin on the next multiple of 32 after the header. */
static void write_gguf(uint32_t type, uint64_t columns, uint64_t second, size_t data_bytes, uint16_t splits)
{
    struct str s = {0};
    put_head(&s, 3, 2, 1);
    put_key(&s, "split.count", GGUF_U16, &splits, 2);
    put_tensor(&s, "blk.0.attn_q.weight", 2, (const uint64_t[]){columns, 3}, type, 0);
    put_tensor(&s, "a_norm.weight", 1, (const uint64_t[]){5}, 0, second);
    put_padding(&s, 32);
    for (size_t i = 0; i < data_bytes; i++)
        put(&s, &(unsigned char){(unsigned char)i}, 1);
    test_file_write(test_path("m.gguf"), s.data, s.length);
    str_release(&s);
}

static void test_gguf(void **state)
{
    (void)state;
    struct store s;
    struct err e;
    const struct store_tensor *t;
    write_gguf(3, 64, 128, 148, 1);
    assert_ok(open_model(&s, test_path("m.gguf"), &e), &e);
    assert_true(s.kind == STORE_GGUF && s.tensor_count == 2 && s.gguf && !s.config);
    assert_string_equal(s.tensors[0].name, "a_norm.weight");
    assert_ok(store_require(&t, &s, "blk.0.attn_q.weight", &e), &e);
    assert_true(t->type == DTYPE_Q4_1 && t->shape[0] == 3 && t->shape[1] == 64 && t->bytes == 120);
    assert_int_equal(((const unsigned char *)t->data)[119], 119);
    assert_int_equal(((const unsigned char *)store_find(&s, "a_norm.weight")->data)[0], 128);
    store_close(&s);
    write_gguf(16, 256, 256, 512, 1);
    refuse("m.gguf", ERR_UNSUPPORTED, "blk.0.attn_q.weight has type iq2_xxs");
    write_gguf(3, 48, 128, 148, 1);
    refuse("m.gguf", ERR_FORMAT, "rows of 48");
    static const uint64_t wrong_places[] = {96, 120, 160, 0, UINT64_MAX - 31};
    for (size_t i = 0; i < sizeof wrong_places / sizeof *wrong_places; i++) {
        write_gguf(3, 64, wrong_places[i], 300, 1);
        refuse("m.gguf", ERR_FORMAT, "tensor a_norm.weight is at byte");
    }
    write_gguf(3, 64, 128, 147, 1);
    refuse("m.gguf", ERR_FORMAT, "past the end");
    write_gguf(3, 64, 128, 160, 1); /* the last may be padded too */
    assert_ok(open_model(&s, test_path("m.gguf"), &e), &e);
    store_close(&s);
    write_gguf(3, 64, 128, 161, 1);
    refuse("m.gguf", ERR_FORMAT, "the file goes on after its last tensor, a_norm.weight");
    write_gguf(3, (uint64_t)1 << 61, 128, 148, 1);
    refuse("m.gguf", ERR_FORMAT, "past the end");
    write_gguf(3, 64, 128, 148, 4);
    refuse("m.gguf", ERR_UNSUPPORTED, "one of 4 parts");
}

/* Two tensors that are large enough for a type's size to show; the type of one has another bit. */
static void test_a_type_that_was_not_written(void **state)
{
    enum { F32 = 0, Q4_1 = 3 };
    static const uint32_t types[] = {F32, Q4_1};
    (void)state;
    for (size_t which = 0; which < 2; which++)
        for (int bit = -1; bit < 32; bit++) {
            uint32_t found[2] = {types[0], types[1]};
            struct str s = {0};
            struct store store;
            struct err e;
            if (bit >= 0)
                found[which] ^= (uint32_t)1 << bit;
            put_head(&s, 3, 2, 0);
            put_tensor(&s, "output_norm.weight", 1, (const uint64_t[]){256}, found[0], 0);
            put_tensor(&s, "output.weight", 2, (const uint64_t[]){256, 4}, found[1], 1024);
            put_padding(&s, 32);
            for (size_t i = 0; i < 1024 + 640; i++)
                put(&s, "", 1);
            test_file_write(test_path("typed.gguf"), s.data, s.length);
            str_release(&s);
            enum err_code code = open_model(&store, test_path("typed.gguf"), &e);
            if (bit < 0) {
                assert_ok(code, &e);
                store_close(&store);
                continue;
            }
            assert_true(code == ERR_FORMAT || code == ERR_UNSUPPORTED);
            assert_non_null(strstr(e.message, "typed.gguf"));
            assert_non_null(strstr(e.message, "output"));
        }
}

static void test_every_damage_to_a_gguf(void **state)
{
    (void)state;
    struct store s;
    struct err e;
    struct str bytes = {0};
    write_gguf(3, 64, 128, 148, 1);
    test_file_read(&bytes, test_path("m.gguf"));
    for (size_t length = 0; length < bytes.length; length++) {
        test_file_write(test_path("cut.gguf"), bytes.data, length);
        assert_int_equal(open_model(&s, test_path("cut.gguf"), &e), ERR_FORMAT);
    }
    for (size_t i = 0; i < bytes.length - 148; i++) {
        bytes.data[i] ^= (char)(1 << i % 8);
        test_file_write(test_path("flip.gguf"), bytes.data, bytes.length);
        bytes.data[i] ^= (char)(1 << i % 8);
        if (open_model(&s, test_path("flip.gguf"), &e) != ERR_OK)
            continue;
        for (size_t t = 0; t < s.tensor_count; t++) { /* whatever passes can be read to its end */
            float *x = malloc(s.tensors[t].elements * sizeof *x);
            assert_non_null(x);
            dtype_to_f32(x, s.tensors[t].type, s.tensors[t].data, s.tensors[t].elements);
            free(x);
        }
        store_close(&s);
    }
    str_release(&bytes);
}

static const char *note_of(struct store *s, const char *key)
{
    const char *text;
    struct err e;
    assert_ok(store_note(&text, s, key, &s->arena, &e), &e);
    return text;
}

static void test_written_tensors_read_back(void **state)
{
    (void)state;
    struct store s;
    struct err e;
    float x[6] = {1, 2, 3, 4, 5, 6}, y[2] = {-1, 0.5f};
    const struct store_output outputs[] = {{"b.lora_A.weight", {2, 3}, x}, {"a \"quoted\"", {2, 1}, y}};
    const struct store_key keys[] = {{"k \"1\"", "a \"text\"", 0}};
    assert_ok(store_write_safetensors(test_path("out.safetensors"), keys, 1, outputs, 2, &e), &e);
    assert_ok(store_open_safetensors(&s, test_path("out.safetensors"), &e), &e);
    assert_string_equal(note_of(&s, keys->name), keys->text);
    assert_string_equal(note_of(&s, "format"), "pt");
    assert_null(note_of(&s, "k"));
    assert_int_equal(s.tensor_count, 2);
    const struct store_tensor *t = store_find(&s, "b.lora_A.weight");
    assert_true(t && t->type == DTYPE_F32 && t->dims == 2 && t->shape[0] == 2 && t->shape[1] == 3);
    assert_memory_equal(t->data, x, sizeof x);
    t = store_find(&s, "a \"quoted\"");
    assert_non_null(t);
    assert_memory_equal(t->data, y, sizeof y);
    store_close(&s);
    assert_error(store_write_safetensors(test_path("no/out.safetensors"), NULL, 0, outputs, 2, &e), &e, ERR_IO, "no/");
    const struct store_output huge = {"huge", {UINT64_MAX, 2}, x};
    assert_error(store_write_safetensors(test_path("huge"), NULL, 0, &huge, 1, &e), &e, ERR_MEMORY, "huge");
    assert_false(file_exists(test_path("huge")));
    assert_error(store_open_safetensors(&s, test_path("absent.safetensors"), &e), &e, ERR_IO, "absent");
}

#define LONG 20000 /* bytes of a tensor: whole pages, and parts of pages on both sides */

/* What nobody reads again is given back if it is ours to give; all else keeps its bytes. */
static void forgets_only_what_it_owns(void **state)
{
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[100],\"data_offsets\":[0,100]},"
                                 "\"b\":{\"dtype\":\"F16\",\"shape\":[10000],\"data_offsets\":[100,20100]},"
                                 "\"c\":{\"dtype\":\"F16\",\"shape\":[50],\"data_offsets\":[20100,20200]}}  ";
    struct err e;
    make_folder("long");
    write_safetensors("long/model.safetensors", header, LONG + 200);
    for (int way = 0; way < 3; way++) {
        struct store s;
        unsigned char wanted[LONG];
        const struct store_tensor *b, *c;
        void *memory = MAP_FAILED;
        size_t size = 0;
        if (way > 0) {
            image_make(test_path("long"));
            struct store_file *f = image_files;
            while (strcmp(f->name, "model.safetensors") != 0)
                f++;
            size = f->map.size;
            memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            assert_ptr_not_equal(memory, MAP_FAILED);
            memcpy(memory, f->map.data, size);
            free((void *)(uintptr_t)f->map.data);
            f->map.data = memory;
            image.owned = way == 2;
        }
        assert_ok(store_open_image(&s, test_path("long"), way > 0 ? &image : NULL, &e), &e);
        assert_ok(store_require(&b, &s, "b", &e), &e);
        assert_ok(store_require(&c, &s, "c", &e), &e);
        for (size_t i = 0; i < LONG; i++)
            wanted[i] = (unsigned char)(i + 100);
        assert_memory_equal(b->data, wanted, LONG);
        store_forget(&s, b);
        if (way == 2) {
            uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)b->data;
            size_t first = (page - at % page) % page, last = LONG - (at + LONG) % page;
            assert_true(first > 0 && first < last && last < LONG);
            memset(wanted + first, 0, last - first);
        }
        assert_memory_equal(b->data, wanted, LONG);
        assert_int_equal(*(const unsigned char *)c->data, (unsigned char)(LONG + 100));
        store_close(&s);
        if (way > 0) {
            for (size_t i = 0; i < image.count; i++)
                if (image_files[i].map.data == memory)
                    image_files[i].map.data = NULL;
            munmap(memory, size);
        }
    }
    image.owned = false;
}

static int make_for_memory(void **state)
{
    from_memory = true;
    return test_folder_make(state);
}

static int remove_for_memory(void **state)
{
    image_clear();
    return test_folder_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_misaligned_data_are_moved),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_folders_that_are_no_model),
        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_a_type_that_was_not_written),
        cmocka_unit_test(test_every_damage_to_a_gguf),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(test_written_tensors_read_back),
        cmocka_unit_test(forgets_only_what_it_owns),
    };
    return cmocka_run_group_tests_name("on disk", tests, test_folder_make, test_folder_remove) +
           cmocka_run_group_tests_name("in memory", tests, make_for_memory, remove_for_memory) +
           cmocka_run_group_tests_name("other", others, test_folder_make, remove_for_memory);
}
