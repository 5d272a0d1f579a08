/* Which files a command line means, and what reading them says. */
#include "cli/common/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common/exit.h"
#include "support/check.h"
#include "unit/cli/capture.h"

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[16][512];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(in_folder(name), "wb");
    if (!CHECK(file != NULL))
        return;
    CHECK_EQ_SIZE(len, fwrite(bytes, 1, len, file));
    fclose(file);
}

/* b.jpg, sub/, sub/a.png, sub/deep/z, sub/.hidden, .dotfolder/x, link -> b.jpg, loop -> . */
static bool make_tree(void)
{
    snprintf(folder, sizeof folder, "/tmp/imgq-files-XXXXXX");
    if (!CHECK(mkdtemp(folder) != NULL))
        return false;
    mkdir(in_folder("sub"), 0700);
    mkdir(in_folder("sub/deep"), 0700);
    mkdir(in_folder(".dotfolder"), 0700);
    write_file("b.jpg", "bb", 2);
    write_file("sub/a.png", "aa", 2);
    write_file("sub/deep/z", "zz", 2);
    write_file("sub/.hidden", "h", 1);
    write_file(".dotfolder/x", "x", 1);
    return symlink("b.jpg", in_folder("link")) == 0 && symlink(".", in_folder("loop")) == 0;
}

static void remove_tree(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_EQ_INT(0, system(command));
}

static void check_names(const cli_files *files, const char *const *want, size_t count)
{
    if (!CHECK_EQ_SIZE(count, files->count))
        return;
    for (size_t i = 0; i < count; i++)
        CHECK_EQ_STR(want[i], files->paths[i]);
}

static void arguments_keep_their_order_and_folders_are_not_entered(void)
{
    cli_files files;
    if (!make_tree())
        return;
    char *arguments[] = {(char *)(uintptr_t)in_folder("b.jpg"), (char[]){"-"}, folder};
    CHECK_EQ_INT(CLI_EXIT_OK, cli_files_collect("t", arguments, 3, false, NULL, &files));
    const char *const want[] = {in_folder("b.jpg"), "-", folder};
    check_names(&files, want, 3);
    CHECK(files.are_several);
    cli_files_release(&files);
    CHECK_EQ_INT(CLI_EXIT_OK, cli_files_collect("t", arguments, 1, false, NULL, &files));
    CHECK(!files.are_several);
    cli_files_release(&files);
    remove_tree();
}

static void recursive_takes_files_and_links_to_files_sorted_without_hidden_ones(void)
{
    cli_files files;
    if (!make_tree())
        return;
    char *arguments[] = {folder};
    CHECK_EQ_INT(CLI_EXIT_OK, cli_files_collect("t", arguments, 1, true, NULL, &files));
    const char *const want[] = {in_folder("b.jpg"), in_folder("link"), in_folder("sub/a.png"), in_folder("sub/deep/z")};
    check_names(&files, want, 4);
    CHECK(files.are_several);
    cli_files_release(&files);
    remove_tree();
}

static void a_list_may_hold_any_name_that_a_file_can_have(void)
{
    static const char list[] = "a\nb.jpg\0-x y\0caf\xc3\xa9\xff\0last";
    cli_files files;
    if (!make_tree())
        return;
    write_file("list", list, sizeof list - 1);
    char *arguments[] = {(char[]){"first"}};
    CHECK_EQ_INT(CLI_EXIT_OK, cli_files_collect("t", arguments, 1, false, in_folder("list"), &files));
    const char *const want[] = {"first", "a\nb.jpg", "-x y", "caf\xc3\xa9\xff", "last"};
    check_names(&files, want, 5);
    cli_files_release(&files);

    write_file("list", "a\0\0b", 4);
    capture_begin(2);
    CHECK_EQ_INT(CLI_EXIT_USAGE, cli_files_collect("t", arguments, 0, false, in_folder("list"), &files));
    char message[600];
    snprintf(message, sizeof message, "t: --files0-from %s: name 2 is empty\n", in_folder("list"));
    CHECK_EQ_STR(message, capture_end(2));

    write_file("list", "", 0);
    CHECK_EQ_INT(CLI_EXIT_OK, cli_files_collect("t", arguments, 0, false, in_folder("list"), &files));
    CHECK_EQ_SIZE(0, files.count);
    cli_files_release(&files);
    capture_begin(2);
    CHECK_EQ_INT(CLI_EXIT_USAGE, cli_files_collect("t", arguments, 0, false, in_folder("none"), &files));
    CHECK_CONTAINS("cannot be read: No such file or directory\n", capture_end(2));
    remove_tree();
}

static void reading_says_what_is_wrong(void)
{
    cli_bytes bytes;
    imgq_error err;
    if (!make_tree())
        return;
    CHECK_OK(cli_file_read(in_folder("b.jpg"), 2, &bytes, &err));
    CHECK_EQ_SIZE(2, bytes.len);
    free(bytes.data);
    CHECK_STATUS(IMGQ_E_LIMIT, cli_file_read(in_folder("b.jpg"), 1, &bytes, &err));
    CHECK_EQ_STR("larger than 1 bytes, the limit", err.message);
    CHECK_STATUS(IMGQ_E_NOTFOUND, cli_file_read(in_folder("none"), 9, &bytes, &err));
    CHECK_EQ_STR("cannot be read: No such file or directory", err.message);
    CHECK_STATUS(IMGQ_E_FORMAT, cli_file_read(folder, 9, &bytes, &err));
    CHECK_EQ_STR("a folder: --recursive takes the files in it", err.message);
    CHECK_STATUS(IMGQ_E_FORMAT, cli_file_read("/dev/null", 9, &bytes, &err));
    CHECK_EQ_STR("empty", err.message);
    CHECK_STATUS(IMGQ_E_LIMIT, cli_file_read("/dev/zero", 100000, &bytes, &err));
    CHECK(bytes.data == NULL && bytes.len == 0);
    remove_tree();
}

static void a_pipe_is_read_to_its_end(void)
{
    cli_bytes bytes;
    imgq_error err;
    int ends[2];
    const int saved = dup(0);
    if (!CHECK_EQ_INT(0, pipe2(ends, O_CLOEXEC)))
        return;
    CHECK_EQ_INT(11, write(ends[1], "hello\nthere", 11));
    close(ends[1]);
    dup2(ends[0], 0);
    close(ends[0]);
    CHECK_OK(cli_file_read("-", 1000, &bytes, &err));
    CHECK_EQ_SIZE(11, bytes.len);
    CHECK_EQ_MEM("hello\nthere", bytes.data, 11);
    free(bytes.data);
    dup2(saved, 0);
    close(saved);
}

static const check_test tests[] = {
    CHECK_TEST(arguments_keep_their_order_and_folders_are_not_entered),
    CHECK_TEST(recursive_takes_files_and_links_to_files_sorted_without_hidden_ones),
    CHECK_TEST(a_list_may_hold_any_name_that_a_file_can_have),
    CHECK_TEST(reading_says_what_is_wrong),
    CHECK_TEST(a_pipe_is_read_to_its_end),
};
CHECK_MAIN("cli_files", tests)
