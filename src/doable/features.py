"""The table of contents."""

from doable.accounts.feature import feature as accounts
from doable.batch.feature import feature as batch
from doable.digests.feature import feature as digests
from doable.lists.feature import feature as lists
from doable.realtime.feature import feature as realtime
from doable.reminders.feature import feature as reminders
from doable.sync.feature import feature as sync
from doable.todos.feature import feature as todos
from doable.transfer.feature import feature as transfer
from doable.webhooks.feature import feature as webhooks

FEATURES = (accounts, lists, todos, webhooks, reminders, digests, batch, sync, realtime, transfer)
