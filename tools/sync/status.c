/* status - stub. */
#include "sync/sync.h"
enum sync_exit sync_status(struct sync *sync) { return sync_once(sync); }
