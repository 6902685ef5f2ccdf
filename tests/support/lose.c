// A Vulkan layer that loses the device, as a driver reset would: LOSE_AT submissions go through, the next one and every wait after it
// answer that the device is lost. A new device works, unless LOSE_FOR_GOOD is set. Memory beyond OOM_AT bytes is refused.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Proc)(void);
typedef Proc (*GetProc)(void *, const char *);
typedef struct InstanceLink { struct InstanceLink *next; GetProc get; void *physical; } InstanceLink;
typedef struct DeviceLink { struct DeviceLink *next; GetProc get_instance; GetProc get_device; } DeviceLink;
// What a loader puts into the chain of structures behind a create info.
typedef struct Chain { int type; const struct Chain *next; int function; union { InstanceLink *instance; DeviceLink *device; } link; } Chain;

enum { LINK_INSTANCE = 47, LINK_DEVICE = 48, DEVICE_LOST = -4, OUT_OF_DEVICE_MEMORY = -2, FAILED = -3 };

static GetProc next_instance, next_device;
static void *instance;
static int (*submit)(void *, uint32_t, const void *, uint64_t);
static int (*wait_fences)(void *, uint32_t, const uint64_t *, uint32_t, uint64_t);
static int (*wait_semaphores)(void *, const void *, uint64_t);
static int (*fence_status)(void *, uint64_t);
static int (*semaphore_value)(void *, uint64_t, uint64_t *);
static int (*allocate)(void *, const void *, const void *, uint64_t *);
static long submitted, lose_at = -1, lost;
static uint64_t allocated, most = UINT64_MAX;

static void configure(void) {
  static int done;
  if (done) return;
  done = 1;
  const char *text = getenv("LOSE_AT");
  if (text) lose_at = atol(text);
  text = getenv("OOM_AT");
  if (text) most = strtoull(text, 0, 10);
}

static int my_submit(void *queue, uint32_t count, const void *infos, uint64_t fence) {
  if (lose_at >= 0 && ++submitted > lose_at) {
    if (!lost) fprintf(stderr, "[layer] the device is lost at submission %ld\n", submitted);
    lost = 1;
    return DEVICE_LOST;
  }
  return submit(queue, count, infos, fence);
}
static int my_wait_fences(void *d, uint32_t c, const uint64_t *f, uint32_t all, uint64_t t) { return lost ? DEVICE_LOST : wait_fences(d, c, f, all, t); }
static int my_wait_semaphores(void *d, const void *i, uint64_t t) { return lost ? DEVICE_LOST : wait_semaphores(d, i, t); }
static int my_fence_status(void *d, uint64_t f) { return lost ? DEVICE_LOST : fence_status(d, f); }
static int my_semaphore_value(void *d, uint64_t s, uint64_t *v) { return lost ? DEVICE_LOST : semaphore_value(d, s, v); }

static int my_allocate(void *device, const void *info, const void *allocator, uint64_t *memory) {
  uint64_t size = *(const uint64_t *)((const char *)info + 16);
  if (allocated + size > most) {
    fprintf(stderr, "[layer] memory is refused\n");
    return OUT_OF_DEVICE_MEMORY;
  }
  allocated += size;
  return allocate(device, info, allocator, memory);
}

static Chain *find(const Chain *info, int type) {
  const Chain *at = info->next;
  while (at && !(at->type == type && at->function == 0)) at = at->next;
  return (Chain *)at;
}

static int my_create_instance(const Chain *info, const void *allocator, void **out) {
  Chain *chain = find(info, LINK_INSTANCE);
  if (!chain) return FAILED;
  next_instance = chain->link.instance->get;
  chain->link.instance = chain->link.instance->next;
  int (*create)(const Chain *, const void *, void **) = (void *)next_instance(0, "vkCreateInstance");
  int result = create(info, allocator, out);
  if (!result) instance = *out;
  return result;
}

static int my_create_device(void *physical, const Chain *info, const void *allocator, void **out) {
  configure();
  if (lost && !getenv("LOSE_FOR_GOOD")) {
    lost = 0;
    lose_at = -1;
  }
  Chain *chain = find(info, LINK_DEVICE);
  if (!chain) return FAILED;
  GetProc get = chain->link.device->get_instance;
  next_device = chain->link.device->get_device;
  chain->link.device = chain->link.device->next;
  int (*create)(void *, const Chain *, const void *, void **) = (void *)get(instance, "vkCreateDevice");
  return create(physical, info, allocator, out);
}

static struct { const char *name; Proc mine; Proc *next; } hooks[] = {
  {"vkQueueSubmit", (Proc)my_submit, (Proc *)&submit},
  {"vkWaitForFences", (Proc)my_wait_fences, (Proc *)&wait_fences},
  {"vkWaitSemaphores", (Proc)my_wait_semaphores, (Proc *)&wait_semaphores},
  {"vkWaitSemaphoresKHR", (Proc)my_wait_semaphores, (Proc *)&wait_semaphores},
  {"vkGetFenceStatus", (Proc)my_fence_status, (Proc *)&fence_status},
  {"vkGetSemaphoreCounterValue", (Proc)my_semaphore_value, (Proc *)&semaphore_value},
  {"vkGetSemaphoreCounterValueKHR", (Proc)my_semaphore_value, (Proc *)&semaphore_value},
  {"vkAllocateMemory", (Proc)my_allocate, (Proc *)&allocate},
};

Proc lose_device(void *device, const char *name) {
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (Proc)lose_device;
  if (!next_device) return 0;
  Proc next = next_device(device, name);
  for (unsigned i = 0; next && i < sizeof hooks / sizeof *hooks; i++) {
    if (strcmp(name, hooks[i].name)) continue;
    *hooks[i].next = next;
    return hooks[i].mine;
  }
  return next;
}

Proc lose_instance(void *of, const char *name) {
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (Proc)lose_instance;
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (Proc)lose_device;
  if (!strcmp(name, "vkCreateInstance")) return (Proc)my_create_instance;
  if (!strcmp(name, "vkCreateDevice")) return (Proc)my_create_device;
  return next_instance ? next_instance(of, name) : 0;
}
