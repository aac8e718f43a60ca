"""The database: recordings, clips, tasks, the queue, labels and the people who gave them."""
