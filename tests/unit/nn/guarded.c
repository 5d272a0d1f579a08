#include "guarded.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

guarded guarded_begin(size_t bytes, bool at_end, size_t alignment)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + alignment + page - 1) / page * page;
    guarded g = {.block_bytes = inner + 2 * page};
    g.block = mmap(NULL, g.block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.block == MAP_FAILED)
        abort();
    mprotect(g.block, page, PROT_NONE);
    mprotect(g.block + page + inner, page, PROT_NONE);
    g.data = g.block + page + (at_end ? (inner - bytes) / alignment * alignment : 0);
    return g;
}

void guarded_end(const guarded *g)
{
    munmap(g->block, g->block_bytes);
}
