/* Two levels of data cache, each set-associative: a line that is not there takes the place of the
 * one of its set that was used last of all. Lines that are written are fetched like those that are
 * read. A line whose neighbour before it is there is taken to be fetched ahead of its use, as the
 * prefetchers of all cores do with streams: it is no miss. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct cache {
  uint64_t sets, ways, misses;
  uint64_t *lines; /* of each set, the one that was used last first; 0 where there is none */
};

static bool cache_make(struct cache *cache, uint64_t sets, uint64_t ways) {
  *cache = (struct cache){sets, ways, 0, calloc(sets * ways, sizeof(uint64_t))};
  return cache->lines != NULL;
}

static void cache_empty(struct cache *cache) {
  memset(cache->lines, 0, cache->sets * cache->ways * sizeof(uint64_t));
}

static inline bool cache_has(const struct cache *cache, uint64_t line) {
  const uint64_t *set = cache->lines + (line & (cache->sets - 1)) * cache->ways;
  for (uint64_t way = 0; way < cache->ways; way++)
    if (set[way] == line + 1) return true;
  return false;
}

/* Use a line; whether it was there. */
static inline bool cache_use(struct cache *cache, uint64_t line) {
  uint64_t *set = cache->lines + (line & (cache->sets - 1)) * cache->ways;
  uint64_t tag = line + 1, way = 0; /* no line is 0 */
  while (way + 1 < cache->ways && set[way] != tag) way++;
  bool is_there = set[way] == tag;
  cache->misses += !is_there && !cache_has(cache, line - 1);
  for (; way; way--) set[way] = set[way - 1];
  set[0] = tag;
  return is_there;
}
