/* watch - stub. */
#include "sync/sync.h"
enum sync_exit sync_watch(struct sync *sync) { return sync_once(sync); }
