// What the client's parts share with the loader, which is a file of its own. They import it from here, so that their bundle imports it once.
import { AmplitudeError, LEFT, random, snapshot, storage } from './loader.js'

export { AmplitudeError, LEFT, random, snapshot, storage }
