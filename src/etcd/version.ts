// The etcd release whose API this server speaks. Purely numeric, because clients parse it: some
// split it at the dots, kube-apiserver turns features on by it.

export const API_VERSION = '3.6.14';
export const CLUSTER_VERSION = '3.6.0';
export const STORAGE_VERSION = '3.6.0';
