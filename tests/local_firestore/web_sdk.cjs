// Firebase's web SDK in Node against the Firestore at argv[2]: prints what it did as one line of JSON.
const { initializeApp } = require("firebase/app");
const firestore = require("firebase/firestore");

async function main() {
  const { doc, collection } = firestore;
  const [host, port] = process.argv[2].split(":");
  const db = firestore.getFirestore(initializeApp({ projectId: process.argv[3], apiKey: "none" }));
  firestore.setLogLevel("silent");
  firestore.connectFirestoreEmulator(db, host, Number(port));
  const done = {};
  await firestore.setDoc(doc(db, "jobs/a"), { n: 1 });
  await firestore.updateDoc(doc(db, "jobs/a"), { n: firestore.increment(2) });
  done.read = (await firestore.getDoc(doc(db, "jobs/a"))).data();
  done.refused = await firestore.updateDoc(doc(db, "jobs/none"), { n: 1 }).catch((error) => error.code);
  const batch = firestore.writeBatch(db);
  batch.set(doc(db, "jobs/b"), { n: 5 });
  batch.delete(doc(db, "jobs/none"));
  await batch.commit();
  done.transaction = await firestore.runTransaction(db, async (transaction) => {
    const found = await transaction.get(doc(db, "jobs/b"));
    transaction.update(doc(db, "jobs/b"), { n: found.data().n + 1 });
    return found.data().n;
  });
  const jobs = firestore.query(collection(db, "jobs"), firestore.orderBy("n", "desc"));
  done.query = (await firestore.getDocs(jobs)).docs.map((each) => [each.id, each.data().n]);
  done.count = (await firestore.getCountFromServer(jobs)).data().count;
  done.heard = await new Promise((resolve) => {
    const stop = firestore.onSnapshot(doc(db, "jobs/c"), { includeMetadataChanges: true }, (snapshot) => {
      if (snapshot.exists() && !snapshot.metadata.hasPendingWrites) {
        stop();
        resolve(snapshot.data());
      }
    });
    firestore.setDoc(doc(db, "jobs/c"), { n: 7 });
  });
  console.log(JSON.stringify(done));
  await firestore.terminate(db);
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
